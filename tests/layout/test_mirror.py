"""Where the tests of a module are: `exporter/kube/watch.py` has `tests/unit/kube/test_watch.py`."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.layout.layout_rules import sources

ROOT = Path(__file__).parents[2]

DATA = (
    "exporter.errors",
    "exporter.mock.calls.tables",
    "exporter.mock.recordings.recording",
    "exporter.mock.machine.demands",
    "exporter.mock.machine.profile",
    "exporter.mock.machine.scenario",
    "exporter.model",
    "podresources.errors",
    "podresources.time_source",
)
"""Modules of data alone, beside the tables of the catalogue: those are tested as a whole, in test_catalogue.py."""

ELSEWHERE = {
    "exporter.__main__": "integration/test_command_line.py",
    "exporter.agent.agent": "integration/test_process.py",
    "exporter.agent.conditions": "integration/test_process.py",
    "exporter.agent.first_look": "integration/test_process.py",
    "exporter.agent.inputs": "integration/test_process.py",
    "exporter.agent.mock_machine": "integration/test_process.py",
    "exporter.agent.options": "integration/test_process.py",
    "exporter.agent.signals": "integration/test_command_line.py",
    "exporter.attribution.pod_memory": "unit/attribution/test_attributor.py",
    "exporter.attribution.strange_ids": "unit/attribution/test_attributor.py",
    "exporter.catalogue.clock_events": "unit/sampling/trackers/test_clock_events.py",
    "exporter.catalogue.convert": "unit/catalogue/test_catalogue.py",
    "exporter.catalogue.reading": "unit/catalogue/test_catalogue.py",
    "exporter.catalogue.utilization": "unit/catalogue/test_catalogue.py",
    "exporter.catalogue.xids": "unit/catalogue/test_catalogue.py",
    "exporter.cli.commands": "integration/test_command_line.py",
    "exporter.cli.go_flags": "unit/cli/test_flags.py",
    "exporter.cli.main": "integration/test_command_line.py",
    "exporter.cli.value_types": "unit/cli/test_flag_table.py",
    "exporter.cli.command_flags": "unit/cli/test_flags.py",
    "exporter.doctor.adapter": "unit/doctor/test_links.py",
    "exporter.doctor.adapter_look": "unit/doctor/test_links.py",
    "exporter.doctor.autoscalers": "unit/doctor/test_links.py",
    "exporter.doctor.cluster": "unit/doctor/test_links.py",
    "exporter.doctor.doctor": "integration/test_doctor_command.py",
    "exporter.doctor.exporters": "unit/doctor/test_links.py",
    "exporter.doctor.finding": "unit/doctor/test_report.py",
    "exporter.doctor.keda": "unit/doctor/test_links.py",
    "exporter.doctor.nvml_look": "unit/doctor/test_node.py",
    "exporter.doctor.pod_names": "unit/doctor/test_links.py",
    "exporter.doctor.prometheus_api": "unit/doctor/test_links.py",
    "exporter.doctor.surroundings": "unit/doctor/test_links.py",
    "exporter.doctor.targets": "unit/doctor/test_links.py",
    "exporter.kube.connection": "unit/kube/test_config_maps.py",
    "exporter.kube.objects": "unit/doctor/test_links.py",
    "exporter.kube.rights": "unit/doctor/test_links.py",
    "exporter.kube.resources": "unit/attribution/test_resource_slices.py",
    "exporter.mock.document": "unit/mock/scenario/test_scenario_file.py",
    "exporter.mock.machine.gauges": "unit/mock/calls/test_gauges.py",
    "exporter.mock.machine.loads": "unit/mock/machine/test_replay.py",
    "exporter.mock.calls.answers": "unit/agent/test_recorder.py",
    "exporter.mock.machine.quantities": "unit/mock/scenario/test_value_groups.py",
    "exporter.mock.scenario.recorded_profile": "unit/agent/test_recorder.py",
    "exporter.agent.record": "integration/test_command_line.py",
    "exporter.agent.timed_library": "unit/agent/test_recorder.py",
    "exporter.mock.machine.machine": "unit/mock/machine/test_closed_loop.py",
    "exporter.mock.scenario.load_file": "unit/mock/scenario/test_scenario_file.py",
    "exporter.nvml.events": "unit/sampling/trackers/test_events.py",
    "exporter.nvml.gpm": "unit/sampling/trackers/test_gpm.py",
    "exporter.mock.machine.fault": "unit/mock/machine/test_faults.py",
    "exporter.sampling.own_thread": "unit/sampling/test_nvml_session.py",
    "exporter.sampling.pace": "unit/sampling/test_sampler.py",
    "exporter.sampling.trackers.event_history": "unit/sampling/trackers/test_events.py",
    "exporter.sampling.trackers.tracker": "unit/sampling/trackers/test_rates.py",
    "exporter.server.exchange": "unit/server/test_protocol.py",
    "exporter.server.web_config.section": "unit/server/web_config/test_document.py",
    "exporter.strict_json": "unit/test_hostile_files.py",
    "exporter.top.own_exporter": "integration/test_top.py",
    "exporter.top.top": "integration/test_top.py",
    "podresources.diagnosis": "unit/podresources/test_client.py",
    "podresources.fake_pods": "unit/podresources/test_fake_kubelet.py",
}
"""Modules that have no promise of their own to test, and where what they do is tested through those that have it."""


def mirror_of(module: str) -> str:
    """Return the path below tests/ at which a module's tests belong."""
    *packages, name = module.removeprefix("exporter.").split(".")
    return "/".join(("unit", *packages, f"test_{name.strip('_')}.py"))


def modules() -> dict[str, str]:
    """Return the text of all modules but packages and what protoc has written."""
    found = sources(ROOT)
    packages = {name for name in found if (ROOT / Path(*name.split("."))).is_dir()}
    return {name: text for name, text in found.items() if name not in packages and "_pb2" not in name}


def is_table(module: str, text: str) -> bool:
    """Tell whether a module is one of the catalogue's tables of readings."""
    return module.startswith("exporter.catalogue.") and re.search(r"^READINGS\b", text, re.MULTILINE) is not None


def untested(modules: Mapping[str, str], tests: Path) -> list[str]:
    """Return the modules that have no file of tests, and are not said to need none."""
    return [
        name
        for name, text in modules.items()
        if name not in DATA
        and not is_table(name, text)
        and not any((tests / path).is_file() for path in (mirror_of(name), ELSEWHERE.get(name, ".")))
    ]


def test_every_module_has_its_tests_at_the_same_place() -> None:
    assert untested(modules(), ROOT / "tests") == []


@pytest.mark.parametrize("module", [*DATA, *ELSEWHERE])
def test_a_module_without_tests_of_its_own_is_there_and_has_none(module: str) -> None:
    assert module in modules()
    assert not (ROOT / "tests" / mirror_of(module)).exists(), "it has tests of its own now: take it off the list"


def test_a_module_without_tests_is_caught() -> None:
    table = "READINGS = ()"
    known = {"exporter.kube.watch": "", "exporter.model": "", "exporter.catalogue.wind": table}
    assert untested({**known, "exporter.kube.gaze": table}, ROOT / "tests") == ["exporter.kube.gaze"]
