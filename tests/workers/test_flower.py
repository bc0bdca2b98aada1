"""Flower as `celery -A workers flower` starts it, and what flags can not take away."""

from __future__ import annotations

import base64
import json
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from compose.servers.ports import free_port
from tests.support.processes import Processes, Server, item
from tests.support.waiting import until


def _status(url: str, login: str | None = None, body: bytes | None = None) -> int:
    headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data=body, headers=headers), timeout=20
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def _flower(processes: Processes, *flags: str, **environment: str) -> str:
    port = free_port()
    processes.start(
        "celery",
        "-A",
        "workers",
        "flower",
        *flags,
        log="flower.log",
        CERTMILL_FLOWER_PORT=str(port),
        **environment,
    )
    url = f"http://127.0.0.1:{port}"
    until(lambda: _status(f"{url}/healthcheck") == 200, what=lambda: processes.log("flower.log"))
    return url


def test_flower_wants_the_password_that_it_made_and_keeps(processes: Processes) -> None:
    url = _flower(processes)
    file = processes.directory / "home" / "flower-password"
    login = f"certmill:{file.read_text().strip()}"

    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().strip() not in processes.log("flower.log")
    for page in ("/", "/tasks", "/metrics", "/api/workers", "/api/tasks", "/api/task/types"):
        assert _status(f"{url}{page}") == 401, page
        assert _status(f"{url}{page}", "certmill:wrong") == 401, page
        assert _status(f"{url}{page}", login) == 200, page


def test_flower_is_read_only(processes: Processes) -> None:
    url = _flower(processes, CERTMILL_FLOWER_PASSWORD="pass")

    for operation in (
        "task/send-task/certificate.request",
        "task/async-apply/certificate.request",
        "task/apply/certificate.request",
        "worker/shutdown/x",
    ):
        assert _status(f"{url}/api/{operation}", "certmill:pass", b"{}") == 403, operation


@pytest.mark.parametrize(
    ("flags", "environment"),
    [
        (("--basic_auth=",), {}),
        ((), {"FLOWER_BASIC_AUTH": ""}),
        ((), {"FLOWER_UNAUTHENTICATED_API": "true"}),
        (("--auth=",), {}),
    ],
    ids=["flag", "variable", "open API", "empty OAuth"],
)
def test_the_login_cannot_be_switched_off(
    processes: Processes, flags: tuple[str, ...], environment: dict[str, str]
) -> None:
    arguments = ["celery", "-A", "workers", "flower", f"--port={(port := free_port())}", *flags]

    process = processes.start(*arguments, log="flower.log", **environment)

    url = f"http://127.0.0.1:{port}"
    until(
        lambda: process.poll() is not None or _status(f"{url}/healthcheck") == 200,
        what=lambda: processes.log("flower.log"),
    )
    if process.poll() is None:
        assert _status(f"{url}/api/tasks") == 401
    else:
        assert "--basic_auth must be user:password" in processes.log("flower.log")


@pytest.mark.parametrize("flag", ["--debug", "--read_only=false", "--basic_auth=user:"])
def test_an_unsafe_flag_is_refused_with_a_reason(processes: Processes, flag: str) -> None:
    ended = processes.start(
        "celery", "-A", "workers", "flower", f"--port={free_port()}", flag, log="flower.log"
    )

    assert ended.wait(60) == 1
    assert processes.log("flower.log").strip().splitlines()[-1].startswith("certmill: ")


def test_flower_shows_the_chain_and_knows_it_after_a_restart(processes: Processes) -> None:
    url = _flower(processes, CERTMILL_FLOWER_PASSWORD="pass")
    processes.worker()
    until(lambda: b"celery@" in _page(f"{url}/workers"))
    with processes.server.client as client:
        client.lpush(
            "certmill.steps", item("certificate.validate", ["default/waits"], headers={"id": "the-task"})
        )
    until(lambda: b"RETRY" in _page(f"{url}/api/tasks"), what=lambda: processes.log("flower.log"))

    assert b"default/waits" in _page(f"{url}/api/task/info/the-task")
    processes.running[0].send_signal(signal.SIGTERM)
    assert processes.running[0].wait(60) == 0

    assert b"RETRY" in _page(f"{_flower(processes, CERTMILL_FLOWER_PASSWORD='pass')}/api/tasks")
    state = processes.directory / "home" / "flower"
    assert state.stat().st_mode & 0o777 == 0o700
    assert _files_beside(processes.directory) == []


def test_a_worker_has_a_page_and_status_names_it(processes: Processes) -> None:
    url = _flower(processes, CERTMILL_FLOWER_PASSWORD="pass")
    worker = processes.worker("-n", "one@here")
    until(lambda: b"one@here" in _page(f"{url}/workers"))

    page = _page(f"{url}/worker/one@here").decode()
    assert f"{worker.pid}" in page
    assert "certmill.steps" in page
    assert _status(f"{url}/worker/two@here", "certmill:pass") == 404
    told = json.loads(_page(f"{url}/workers?json=1"))["data"]
    assert [(one["hostname"], one["status"]) for one in told] == [("one@here", True)]
    assert json.loads(_page(f"{url}/api/workers")) == {}  # as docs/flower.md says

    status = processes.start("celery", "-A", "workers", "status", log="status.log")
    assert status.wait(60) == 0
    assert "one@here: OK" in " ".join(processes.log("status.log").replace("->", "").split())
    assert "1 node online" in processes.log("status.log")


def test_a_command_that_needs_remote_control_says_that_it_is_off(processes: Processes) -> None:
    for command, argument in (("inspect", "stats"), ("control", "shutdown")):
        ended = processes.start("celery", "-A", "workers", command, argument, log=f"{command}.log")

        assert ended.wait(60) == 1
        assert "remote control is off" in processes.log(f"{command}.log")


def test_waits_count_and_failures_are_one_line(processes: Processes, server: Server) -> None:
    url = _flower(processes, CERTMILL_FLOWER_PASSWORD="pass")
    processes.worker()
    until(lambda: b"celery@" in _page(f"{url}/workers"))
    with server.client as client:
        client.lpush(
            "certmill.steps",
            item("certificate.validate", ["default/waits"], headers={"id": "waits", "retries": 3}),
        )
        client.lpush(
            "certmill.steps", item("certificate.validate", ["default/fails"], headers={"id": "fails"})
        )

    def tasks() -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = json.loads(_page(f"{url}/api/tasks"))
        return found if {task["state"] for task in found.values()} == {"RETRY", "FAILURE"} else {}

    until(tasks, what=lambda: processes.log("flower.log"))
    assert (tasks()["waits"]["retries"], tasks()["waits"]["traceback"]) == (4, None)
    assert (tasks()["fails"]["exception"], tasks()["fails"]["traceback"]) == (
        "RuntimeError('refused by the CA')",
        None,
    )


def test_a_worker_that_is_stopped_reports_its_last_task(processes: Processes, server: Server) -> None:
    url = _flower(processes, CERTMILL_FLOWER_PASSWORD="pass")
    worker = processes.worker()
    until(lambda: b"celery@" in _page(f"{url}/workers"))
    with server.client as client:
        client.lpush("certmill.steps", item("certificate.validate", ["default/held"], headers={"id": "last"}))
        until(lambda: b"STARTED" in _page(f"{url}/api/tasks"), what=processes.log)
        worker.send_signal(signal.SIGTERM)
        client.lpush("let go", "now")
        assert worker.wait(60) == 0

    until(
        lambda: b"SUCCESS" in _page(f"{url}/api/tasks"),
        seconds=30,
        what=lambda: str(_page(f"{url}/api/tasks")),
    )


def _page(url: str) -> bytes:
    request = urllib.request.Request(
        url, headers={"Authorization": f"Basic {base64.b64encode(b'certmill:pass').decode()}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return bytes(answer.read())


def _files_beside(directory: Path) -> list[str]:
    return [file.name for file in directory.iterdir() if file.suffix != ".log" and file.name != "home"]
