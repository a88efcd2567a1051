"""The command: looks at all links, and prints what is found as it comes."""

import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from exporter.doctor.links import examine
from exporter.doctor.report import as_json, exit_code, lines, screen_of, summary
from exporter.doctor.surroundings import Asked, Surroundings
from exporter.settings import Settings


def report(
    settings: Settings, options: Mapping[str, Any], environ: Mapping[str, str], write: Callable[[str], int]
) -> int:
    """Print a line for each finding, or one JSON object; returns the exit code."""
    asked = Asked(
        settings,
        options["url"],
        options["prometheus"],
        Path(options["kubeconfig"]) if options["kubeconfig"] else None,
        options["namespace"],
        environ,
    )
    found = []
    screen = screen_of(
        environ, shutil.get_terminal_size().columns, sys.stdout.encoding, is_terminal=sys.stdout.isatty()
    )
    with closing(Surroundings(asked)) as surroundings:
        for one in examine(surroundings):
            found.append(one)
            if not options["json"]:
                write("\n".join(lines(one, screen)))
    write(as_json(found) if options["json"] else summary(found, screen))
    return exit_code(found)
