"""`gpu-metrics-exporter doctor` as a process: on a terminal, in a pipe, in any locale, cut off, ill set."""

import json
import os
import pty
import re
import subprocess
import termios
from pathlib import Path
from typing import NoReturn

import pytest

from exporter.doctor.exporters import ExporterPage, read_pages
from exporter.doctor.surroundings import Asked, Surroundings
from exporter.errors import ConfigError
from tests.certificates import Authority
from tests.integration.program import COMMAND, ROOT, Start, ended
from tests.unit.cli.parsing import settings
from tests.waiting import PATIENCE_S

NO_CLUSTER = ("doctor", "--kubeconfig=/nowhere", "--prometheus=http://127.0.0.1:9", "--url=http://127.0.0.1:9")


def environment(**variables: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nowhere", **variables}


def run(*arguments: str, **variables: str) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_without_anything_to_look_at_it_ends_with_the_code_of_the_worst_finding() -> None:
    code, out, err = run(*NO_CLUSTER, LANG="C.UTF-8")
    assert (code, err) == (1, b"")
    assert "✗ exporter     http://127.0.0.1:9 is not responding: http://127.0.0.1:9/metrics refuses" in out.decode()
    assert out.decode().splitlines()[-1].startswith("The first broken link is exporter. Begin with its cure. ")
    code, out, _ = run("doctor", "--kubeconfig=/nowhere")
    assert code == 3
    assert "No broken link was found" not in out.decode()


def test_json_is_one_object_whatever_the_locale() -> None:
    _, out, err = run(*NO_CLUSTER, "--json", PYTHONIOENCODING="ascii")
    assert (json.loads(out)["first_broken"], err) == ("exporter", b"")


def test_a_locale_without_the_signs_has_others() -> None:
    _, out, err = run(*NO_CLUSTER, PYTHONIOENCODING="iso-8859-1")
    assert b"\nNO exporter     http" in out
    assert err == b""


def test_a_closed_pipe_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(
            [*COMMAND, *NO_CLUSTER], cwd=ROOT, env=environment(), stdout=pipe, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_terminal_of_forty_columns_is_kept_to_with_colours_or_without() -> None:
    for variables, has_colours in ({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False):
        leader, follower = pty.openpty()
        termios.tcsetwinsize(follower, (24, 40))
        with os.fdopen(follower, "w") as terminal:
            process = subprocess.Popen([*COMMAND, *NO_CLUSTER], cwd=ROOT, env=environment(**variables), stdout=terminal)
        shown = b""
        try:
            while chunk := os.read(leader, 65536):
                shown += chunk
        except OSError:  # Linux: the other end is closed
            pass
        assert process.wait(PATIENCE_S) == 1
        os.close(leader)
        assert (b"\x1b[" in shown) == has_colours
        plain = shown.decode().replace("\x1b[0m", "")
        for colour in ("32", "31;1", "33"):
            plain = plain.replace(f"\x1b[{colour}m", "")
        assert max(len(line) for line in plain.splitlines()) <= 40


def test_a_running_exporter_is_asked_at_its_own_address(start: Start, tmp_path: Path) -> None:
    program = start("--mock", "-k=false")
    program.until(lambda: program.get("/ready")[0] == 200)
    [url] = re.findall(r"serving (http://\S+)", program.log())
    code, out, _ = run("doctor", f"--url={url}", "--json", f"--kubeconfig={tmp_path / 'none'}")
    marks = {one["link"]: one["mark"] for one in json.loads(out)["findings"]}
    assert (code, marks["exporter"], marks["gpus"], marks["owners"]) == (3, "holds", "holds", "unseen")


def page_here(*flags: str) -> ExporterPage:
    """Return what the doctor reads of the exporter beside it, with its flags."""

    def nowhere(_kubeconfig: Path | None) -> NoReturn:
        raise ConfigError("there is no cluster")

    [found] = read_pages(Surroundings(Asked(settings(*flags)), nowhere))
    return found


@pytest.mark.parametrize("auth", ["NoClientCert", "RequireAndVerifyClientCert"])
def test_an_exporter_beside_it_is_asked_by_tls_and_unseen_if_it_wants_a_certificate(
    start: Start, tmp_path: Path, auth: str
) -> None:
    authority, config = Authority(tmp_path / "authority"), tmp_path / "web.yml"
    needs_certificate = auth != "NoClientCert"
    needs = f"  client_auth_type: {auth}\n"
    needs += f"  client_ca_file: {authority.certificate}\n" if needs_certificate else ""
    config.write_text(f"tls_server_config:\n  {authority.issue('exporter').files()}{needs}")
    flags = ("--mock", "-k=false", f"--web-config-file={config}")
    program = start(*flags)
    program.until(lambda: "serving https" in program.log())
    [address] = re.findall(r"serving https://(\S+)/metrics", program.log())
    if needs_certificate:
        program.until(lambda: page_here(*flags, f"-a={address}").is_forbidden)
    else:
        program.until(lambda: bool(page_here(*flags, f"-a={address}").loads))


def test_an_exporter_of_which_the_web_configuration_cannot_be_read_is_not_asked_in_the_clear() -> None:
    trouble = page_here("--mock", "--web-config-file=/nowhere/web.yml").trouble
    assert "/nowhere/web.yml: can't read the web configuration file" in trouble


def test_a_flag_of_another_command_is_refused() -> None:
    [done] = ended(("check", "--prometheus=http://x"))
    assert done.code == 2
    assert "unknown flag --prometheus" in done.stderr
