"""`gpu-metrics-exporter doctor` as a process: on a terminal, in a pipe, in any locale, cut off, ill set."""

import json
import os
import pty
import re
import subprocess
import termios
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.integration.program import COMMAND, ROOT, Start
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


def mark_of(link: str, *arguments: str) -> str:
    """Return how the doctor marks a link about which it has one finding."""
    [found] = [one["mark"] for one in json.loads(run(*arguments)[1])["findings"] if one["link"] == link]
    return str(found)


def test_without_anything_to_look_at_it_ends_with_the_code_of_the_worst_finding() -> None:
    code, out, err = run(*NO_CLUSTER, LANG="C.UTF-8")
    assert (code, err) == (1, b"")
    assert "✗ exporter     http://127.0.0.1:9 does not answer: http://127.0.0.1:9/metrics refuses" in out.decode()
    assert out.decode().splitlines()[-1].startswith("The first broken link is exporter. Begin with its cure. ")
    assert run("doctor", "--kubeconfig=/nowhere")[0] == 3


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


@pytest.mark.parametrize(("auth", "mark"), [("NoClientCert", "holds"), ("RequireAndVerifyClientCert", "unseen")])
def test_an_exporter_beside_it_is_asked_by_tls_and_unseen_if_it_wants_a_certificate(
    start: Start, tmp_path: Path, auth: str, mark: str
) -> None:
    authority, config = Authority(tmp_path / "authority"), tmp_path / "web.yml"
    needs = f"  client_auth_type: {auth}\n"
    needs += f"  client_ca_file: {authority.certificate}\n" if mark == "unseen" else ""
    config.write_text(f"tls_server_config:\n  {authority.issue('exporter').files()}{needs}")
    flags = ("--mock", "-k=false", f"--web-config-file={config}")
    program = start(*flags)
    program.until(lambda: "serving https" in program.log())
    [address] = re.findall(r"serving https://(\S+)/metrics", program.log())
    asked = ("doctor", *flags, "-a", address, "--json", "--kubeconfig=/nowhere")
    program.until(lambda: mark_of("exporter", *asked) == mark)


def test_an_exporter_of_which_the_web_configuration_cannot_be_read_is_not_asked_in_the_clear() -> None:
    code, out, _ = run("doctor", "--mock", "--web-config-file=/nowhere/web.yml", "--kubeconfig=/nowhere")
    assert code == 1
    assert "/nowhere/web.yml: can't read the web configuration file" in " ".join(out.decode().split())


def test_a_flag_of_another_command_is_refused() -> None:
    code, _, err = run("check", "--prometheus=http://x")
    assert code == 2
    assert b"unknown flag --prometheus" in err
