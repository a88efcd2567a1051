import re

from tests.unit.server.serving import (
    serving,
)


def test_links_of_the_landing_page_lead_somewhere() -> None:
    with serving() as served:
        page = served.ask("/")
        links = re.findall(r'href="([^"]+)"', page.body.decode())
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert links == ["metrics", "health", "ready"]
        assert {served.ask(f"/{link}").status for link in links} == {200}


def test_landing_page_shows_the_version_escaped() -> None:
    with serving() as served:
        assert b"1.2.3 &lt;test&gt;" in served.ask("/").body
