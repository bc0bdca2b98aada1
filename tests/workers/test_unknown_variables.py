"""A mistyped variable leaves its setting at the default: every process says so, and goes on."""

from __future__ import annotations

from compose.servers.ports import free_port
from tests.support.processes import Processes
from tests.support.waiting import until

SAID = "CERTMILL_HOM is not a setting; did you mean CERTMILL_HOME?"


def test_a_worker_logs_it_once(processes: Processes) -> None:
    processes.worker(CERTMILL_HOM="/nowhere")

    until(lambda: "settings.unknown" in processes.log(), what=processes.log)
    assert processes.log().count(SAID) == 1


def test_the_other_processes_say_it_before_they_begin(processes: Processes) -> None:
    ports = {"CERTMILL_RESPONDER_PORT": str(free_port()), "CERTMILL_ADMIN_PORT": "0"}
    responder = processes.start("workers", "responder", log="responder.log", CERTMILL_HOM="/nowhere", **ports)

    until(
        lambda: "responder.listening" in processes.log("responder.log"),
        what=lambda: processes.log("responder.log"),
    )
    assert processes.log("responder.log").splitlines()[0] == f"certmill: {SAID}"
    assert responder.poll() is None
