"""The pages for people who come from elsewhere name flags and variables that exist, and no others."""

import re

import pytest

from exporter.cli.command_flags import COMMAND_FLAGS
from exporter.cli.flag_table import FLAGS
from tests.pages import page, section

PAGES = ("coming-from-dcgm-exporter", "gpu-operator", "managed-kubernetes", "troubleshooting")
OTHER_TOOLS = re.compile(r"(?:helm|kubectl|oc|docker|gcloud) ")
OTHERS_FLAGS = set(
    re.findall(
        r"\S+",
        "cap-add cap-drop enable-managed-gpu-experience gpu-driver raw read-only reuse-values root-dir set set-json",
    )
)
"""Flags of docker, helm, kubectl, kubelet and az that stand alone in a sentence."""
OTHERS_VARIABLES = {"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"}
WITHOUT_A_FLAG = {"NODE_NAME", "POD_NAME", "POD_NAMESPACE"}
NAMES = {flag.name for flags in (FLAGS, *COMMAND_FLAGS.values()) for flag in flags}
VARIABLES = {flag.variable for flag in FLAGS} | WITHOUT_A_FLAG


def spans(text: str) -> str:
    """Return what stands in backquotes within sentences and tables, but for commands of other tools."""
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join(span for span in re.findall(r"`([^`\n]*)`", prose) if not OTHER_TOOLS.match(span))


@pytest.mark.parametrize("name", PAGES)
def test_each_flag_in_a_sentence_is_one_of_the_exporter_s(name: str) -> None:
    found = set(re.findall(r"(?<!\S)--([a-z][a-z-]*)", spans(page(name))))
    assert found - OTHERS_FLAGS - NAMES == set()


@pytest.mark.parametrize("name", PAGES)
def test_each_variable_is_read(name: str) -> None:
    found = set(re.findall(r"\b(?:DCGM_EXPORTER|DCGM_REMOTE|DCGM_POD|DCGM_HPC|NVIDIA|NODE|POD)_[A-Z_]+\b", page(name)))
    assert found - OTHERS_VARIABLES - VARIABLES == set()


def test_flags_that_are_said_to_have_no_effect_have_none() -> None:
    removed = section(page("coming-from-dcgm-exporter"), "What to remove")
    [row] = [line for line in removed.splitlines() if "No effect" in line]
    by_name = {name: flag for flag in FLAGS for name in (f"-{flag.shorthand}", f"--{flag.name}", flag.variable)}
    told = [by_name[name] for name in re.findall(r"`([^`]+)`", row)]
    assert {flag.status.name for flag in told} == {"NO_EFFECT"}
    assert {flag.name for flag in told} == {"remote-hostengine-info", "kubernetes-gpu-id-type"}
