"""docs/bare-metal.md on Debian 12 and 13: its commands, in its order, with the units and mock GPUs."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.bare_metal.from_the_page import PAGE, commands, installed_root
from tests.bare_metal.machine import Machine, booted
from tests.pages import blocks

SUITES = ("bookworm", "trixie")
EXPOSED_AT_MOST = 1.7
"""Of 10, as `systemd-analyze security` counts."""

UNIT = "gpu-metrics-exporter"
SETTINGS = "/etc/gpu-metrics-exporter/exporter.env"


@pytest.fixture(scope="module", params=SUITES)
def machine(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which the exporter is installed as the page says, and runs as a service."""
    root = installed_root(request.param, tmp_path_factory.mktemp("machine"), wheel)
    try:
        with booted(root) as started:
            yield started
    finally:
        shutil.rmtree(root)


def is_ready(machine: Machine) -> bool:
    return "8 sampled" in machine.says("curl -s localhost:9400/ready")


def value(machine: Machine, name: str) -> str:
    return machine.run(f"systemctl show --value --property={name} {UNIT}").strip()


def runs_unprivileged(machine: Machine) -> None:
    machine.until(lambda: is_ready(machine))
    assert ".TH" in machine.run(f"cat /usr/local/share/man/man8/{UNIT}.8")
    status = machine.run(f"cat /proc/{value(machine, 'MainPID')}/status")
    assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert value(machine, "User") == machine.run(f"ps -o user:40= {value(machine, 'MainPID')}").strip() == UNIT
    exposed = machine.run(f"systemd-analyze security --no-pager {UNIT} | tail -1")
    assert float(re.findall(r": ([\d.]+) ", exposed)[0]) <= EXPOSED_AT_MOST, exposed


def listens_while_it_restarts(machine: Machine) -> None:
    machine.until(lambda: is_ready(machine))
    assert "on systemd's socket" in machine.run(f"journalctl --no-pager --unit {UNIT}")
    machine.run(f"systemctl stop {UNIT}.service")
    machine.run("curl -s --max-time 60 localhost:9400/ready")  # and that starts it again
    machine.until(lambda: value(machine, "ActiveState") == "active")
    listens_on_another_port(machine)


def listens_on_another_port(machine: Machine) -> None:
    [drop_in] = commands("Listen on one address, or on systemd's socket", "ini")
    folder = f"/etc/systemd/system/{UNIT}.socket.d"
    machine.run(f"mkdir {folder}; cat > {folder}/override.conf <<'END'\n{drop_in}END\nsystemctl daemon-reload")
    machine.run(f"systemctl restart {UNIT}.socket {UNIT}")
    machine.until(lambda: "8 sampled" in machine.says("curl -s localhost:9500/ready"))
    assert machine.says("curl -s localhost:9400/ready") == ""
    machine.run(f"rm -r {folder}; systemctl daemon-reload; systemctl restart {UNIT}.socket {UNIT}")
    machine.until(lambda: is_ready(machine))


def asks_for_a_password(machine: Machine) -> None:
    password = machine.run("cat /etc/gpu-metrics-exporter/prometheus.password")
    assert "DCGM_FI_DEV_GPU_UTIL{" in machine.says(f"curl -sk -u prometheus:{password} https://localhost:9400/metrics")
    assert "HTTP request to an HTTPS server" in machine.says("curl -s localhost:9400/metrics")
    assert machine.says("curl -sk https://localhost:9400/metrics") == "Unauthorized"
    machine.run(f"sed -i /WEB_CONFIG/d {SETTINGS}; systemctl restart {UNIT}")
    machine.until(lambda: is_ready(machine))


def has_read_the_counters_again(machine: Machine) -> None:
    [looks] = commands("See what it does")
    said = machine.run(looks)
    assert "✓ exporter" in said
    assert "MOCK, of h100-sxm" in said  # which only the service's settings say
    assert "The settings are valid." in said
    machine.until(lambda: "counters read from" in machine.says(f"journalctl --no-pager --unit {UNIT}"))


def has_let_go_and_taken_again(machine: Machine) -> None:
    machine.until(lambda: "all GPUs were let go" in machine.says(f"journalctl --no-pager --unit {UNIT}"))
    machine.until(lambda: "DCGM_FI_DEV_GPU_UTIL{" in machine.says("curl -s localhost:9400/metrics"))


def shows_the_job(machine: Machine) -> None:
    machine.until(lambda: is_ready(machine))
    machine.run("SLURM_JOB_ID=4711 SLURM_JOB_GPUS=3 /etc/slurm/prolog.d/gpu-jobs.sh")
    machine.until(lambda: 'hpc_job="4711"' in machine.says("curl -s localhost:9400/metrics"))
    machine.run("SLURM_JOB_ID=4711 /etc/slurm/epilog.d/gpu-jobs.sh")
    machine.until(lambda: 'hpc_job="4711"' not in machine.says("curl -s localhost:9400/metrics"))


def is_gone(machine: Machine) -> None:
    assert machine.says("getent passwd gpu-metrics-exporter; ss -lnt 2>/dev/null | grep 9400") == ""
    named = r"\( -name '*gpu-metrics*' -o -name 'gpu-jobs*' \)"
    assert machine.run(f"find / -xdev {named} -not -path '/root/*' -not -path '/var/log/*'") == ""
    assert "gpu-jobs" not in machine.run("ls /run")


AFTER: Mapping[str, Callable[[Machine], None]] = {
    "Run it as a service": runs_unprivileged,
    "Listen on one address, or on systemd's socket": listens_while_it_restarts,
    "Prometheus": asks_for_a_password,
    "See what it does": has_read_the_counters_again,
    "Driver upgrades, MIG changes, GPU resets": has_let_go_and_taken_again,
    "Slurm: the job on each series": shows_the_job,
    "Upgrade, and remove": is_gone,
}
"""What is so after the commands under a heading."""


def test_a_service_that_fails_starts_again_unless_a_setting_is_wrong(machine: Machine) -> None:
    [install, scrape] = commands("Run it as a service")
    machine.run(install)
    machine.until(lambda: int(value(machine, "NRestarts")) >= 1)  # no driver is there
    machine.run(f"echo DCGM_EXPORTER_MOCK=h100-sxm > {SETTINGS}; systemctl restart {UNIT}")
    machine.run(scrape)
    machine.run(f"systemctl kill --signal=SIGKILL {UNIT}")
    machine.until(lambda: value(machine, "NRestarts") == "1" and is_ready(machine))
    machine.run(f"cp {SETTINGS} /root/kept; echo DCGM_EXPORTER_INTERVAL=soon >> {SETTINGS}")
    machine.says(f"systemctl restart {UNIT}")
    machine.until(lambda: value(machine, "ActiveState") == "failed")
    assert "not 'soon'" in machine.says(f"systemctl status --no-pager {UNIT}")
    machine.run(f"mv /root/kept {SETTINGS}; systemctl restart {UNIT}")


def test_the_commands_of_the_page_in_their_order_lead_from_the_service_to_its_removal(machine: Machine) -> None:
    assert blocks(PAGE, "sh") == [block for heading in ("Install", *AFTER) for block in commands(heading)]
    for heading, is_so_then in AFTER.items():
        for block in commands(heading):
            machine.run(block)
        is_so_then(machine)
