"""Two installations on one Redis: the second one's workers refuse to start, and say why."""

from __future__ import annotations

import json

from certmill.state import keys
from tests.support.processes import Processes, Server
from tests.support.waiting import until


def _worker(processes: Processes, name: str):
    home = str(processes.directory / name)
    return processes.start(
        "celery", "-A", "workers", "worker", "-n", f"{name}@test", log=f"{name}.log", CERTMILL_HOME=home
    )


def test_a_worker_of_another_installation_ends_before_it_takes_a_message(
    processes: Processes, server: Server
) -> None:
    first = _worker(processes, "first")
    with server.client as client:
        until(lambda: client.get(keys.INSTALLATION), what=lambda: processes.log("first.log"))
        second = _worker(processes, "second")

        assert second.wait(120) == 1
        assert first.poll() is None
        (line,) = [
            json.loads(line)
            for line in processes.log("second.log").splitlines()
            if '"worker.cannot_start"' in line
        ]
        assert "another installation of certmill" in line["reason"]
        assert "CERTMILL_REDIS_URL" in line["reason"]
        assert "Traceback" not in processes.log("second.log")
