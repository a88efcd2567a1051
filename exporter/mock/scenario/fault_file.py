"""The faults of a scenario's file, and of a request while the mock runs."""

from collections.abc import Iterator

import pynvml

from exporter.mock.document import Section, describe
from exporter.mock.machine.faults import Fault, HangFault, LostFault, XidFault

FOR_EVER = float("inf")


def parse_fault(section: Section, default_at_s: float | None = None) -> Fault:
    """Return the fault that a section describes.

    Args:
        section: A mapping with the key kind.
        default_at_s: When it begins, in seconds since the mock began, where the section does not say; None requires it.

    Raises:
        ConfigError: Names file, key and reason.
    """
    kind = section.choice("kind", ("lost", "hang", "xid"))
    at_s = section.number("at_s", 0, FOR_EVER, default_at_s)
    fault: Fault
    if kind == "lost":
        fault = LostFault(at_s, _end(section, at_s))
    elif kind == "hang":
        fault = HangFault(at_s, _end(section, at_s), frozenset(_functions(section)))
    else:
        instance = section.integer("gpu_instance", 0, 14) if section.has("gpu_instance") else None
        fault = XidFault(at_s, section.integer("code", 1, 2**32), instance)
    section.finish()
    return fault


def _end(section: Section, at_s: float) -> float:
    if section.has("for_s") and section.has("until_s"):
        raise section.error("for_s", "is set beside until_s, one of the two is needed")
    if section.has("for_s"):
        return at_s + section.number("for_s", 0, FOR_EVER)
    return section.number("until_s", at_s, FOR_EVER, FOR_EVER)


def _functions(section: Section) -> Iterator[str]:
    for name in section.items("functions"):
        if not isinstance(name, str) or not callable(getattr(pynvml, name, None)):
            raise section.error("functions", f"has {describe(name)}, names of pynvml's functions are needed")
        yield name
