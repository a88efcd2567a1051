"""Regular expressions of label names: Go's syntax, in time linear in the name, by RE2.

Python's own engine takes exponential time for some expressions, holds the interpreter meanwhile, and refuses what Go
accepts. RE2 is imported only where an expression is given: it costs 3 MiB.
"""

import re
from collections.abc import Callable

_ESCAPES = re.compile(r"\\Q.*?(?:\\E|\Z)|\\.", re.DOTALL)
"""What a backslash begins: a quoted text, or one escaped character."""


def compile_pattern(text: str) -> Callable[[str], bool]:
    """Make a test of a regular expression: whether it is found anywhere in a name.

    Raises:
        ValueError: with the reason.
    """
    import re2  # noqa: PLC0415

    if r"\C" in _ESCAPES.findall(text):  # RE2's one byte, which Go does not have: it splits characters
        raise ValueError(rf"{text!r}: invalid escape sequence: \C")
    options = re2.Options()
    options.log_errors = False  # it would write to stderr itself, beside our log
    try:
        pattern = re2.compile(text, options)
    except re2.error as error:
        raise ValueError(f"{text!r}: {_reason(error)}") from None
    except UnicodeEncodeError:
        raise ValueError(f"{text!r}: it is not UTF-8 text") from None
    return lambda name: pattern.search(name.encode(errors="replace")) is not None


def _reason(error: Exception) -> str:
    """Return RE2's reason on one line; it quotes the piece of the expression that is wrong."""
    reason = error.args[0]
    text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    return " ".join(text.split())
