"""The command: looks at an exporter again and again, and shows what its page says."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from exporter.errors import FetchError, NotLetIn
from exporter.scraping import fetch, parse_page
from exporter.server.page_url import page_url
from exporter.settings import Settings
from exporter.top.own_exporter import own_exporter
from exporter.top.table import plain, table
from exporter.view.overview import Overview, overview
from exporter.view.true_load import LoadHistory

LOOK_S = 2.0


def top(settings: Settings, options: Mapping[str, Any]) -> int:
    """Show the table until Ctrl-C, or once where that is asked for or nobody sees a second one; returns 0.

    Raises:
        FetchError: There is no exporter at the URL.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that is not UTF-8 shows question marks
    console = Console()
    try:
        with _page_of(settings, options["url"]) as url:
            if options["once"] or not console.is_terminal:
                _show_once(console, url)
            else:
                _show_on(console, url)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        sys.stderr.close()  # Python would complain of the pipe once more at its end
    return 0


def _show_once(console: Console, url: str) -> None:
    history = LoadHistory()
    history.look(overview(parse_page(fetch(url))))
    time.sleep(LOOK_S)
    seen = overview(parse_page(fetch(url)))
    history.look(seen)
    console.print(table(seen, history, console.width), _caption(seen, ""))


def _show_on(console: Console, url: str) -> None:
    history, seen, trouble = LoadHistory(), overview(()), ""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                seen, trouble = overview(parse_page(fetch(url))), ""
                history.look(seen)
            except FetchError as error:
                trouble = str(error)
            live.update(Group(table(seen, history, console.width), _caption(seen, trouble)), refresh=True)
            time.sleep(LOOK_S)


def _caption(seen: Overview, trouble: str) -> Text:
    mock = ", mock GPUs" if seen.source == "mock" else ""
    text = Text(f"{plain(seen.host)} exporter {plain(seen.version)}{mock}", style="dim")
    if not seen.rows:
        text.append("\nNo GPU has values; `gpu-metrics-exporter doctor` says why.", style="yellow")
    return text.append(f"\n{plain(trouble)}", style="bold red") if trouble else text


@contextmanager
def _page_of(settings: Settings, url: str) -> Iterator[str]:
    """Return the URL of a page: the one that is asked for, this machine's exporter's, or one of our own exporter."""
    if url:
        fetch(url)
        yield url
        return
    local = page_url(settings)
    if settings.mock is None and _serves(local):
        yield local
        return
    with own_exporter(settings) as own:
        try:
            fetch(own)
        except NotLetIn as error:
            place = settings.place("web-config-file")
            raise NotLetIn(
                f"{place}: top can't read the GPUs itself where this asks for a password or a client certificate;"
                " run it without this setting",
                error.status,
            ) from None
        yield own


def _serves(url: str) -> bool:
    """Tell whether an exporter is there.

    Raises:
        FetchError: One is, and does not give its page.
    """
    try:
        fetch(url)
    except NotLetIn as error:
        with_login = url.replace("://", "://USER:PASSWORD@")
        raise NotLetIn(f"{error}; if it needs a password: --url {with_login}", error.status) from None
    except FetchError as error:
        if error.status:
            raise
        return False
    return True
