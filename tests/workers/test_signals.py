"""What a worker says of itself and of its Redis when it starts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.processes import Processes, Server
from tests.support.waiting import until
from workers.process import PROCESS_VARIABLE, process_name
from workers.signals import celery_command


def _events(processes: Processes, log: str = "worker.log") -> list[dict[str, object]]:
    return [json.loads(line) for line in processes.log(log).splitlines() if line.startswith("{")]


def _named(processes: Processes, event: str) -> list[dict[str, object]]:
    return [line for line in _events(processes) if line["event"] == event]


def test_a_redis_that_may_evict_is_reported_once(processes: Processes, server: Server) -> None:
    with server.client as client:
        client.config_set("maxmemory-policy", "allkeys-lru")

    processes.worker()

    until(lambda: _named(processes, "redis.may_evict"), what=processes.log)
    (line,) = _named(processes, "redis.may_evict")
    assert (line["level"], line["maxmemory_policy"]) == ("warning", "allkeys-lru")


@pytest.mark.parametrize("denied", [False, True], ids=["noeviction", "a user who may not ask"])
def test_nothing_is_reported_of_a_redis_that_keeps_all_or_does_not_tell(
    processes: Processes, server: Server, denied: bool
) -> None:
    with server.client as client:
        if denied:
            client.config_set("maxmemory-policy", "allkeys-lru")
            client.execute_command("ACL", "SETUSER", "default", "-config")

    processes.worker()  # Celery says "ready." after the handlers of worker_ready

    assert "evict" not in processes.log()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is warned")
@pytest.mark.parametrize("flags", [(), ("-P", "threads")])
def test_threads_with_autoscale_are_refused_at_the_start(
    processes: Processes, flags: tuple[str, ...]
) -> None:
    worker = processes.start(
        "celery", "-A", "probe_app", "worker", "--autoscale", "4,1", *flags, log="autoscale.log"
    )

    assert worker.wait(30) == 1
    assert "remove --autoscale, and set CERTMILL_WORKER_CONCURRENCY" in processes.log("autoscale.log")
    assert "Traceback" not in processes.log("autoscale.log")


def test_root_is_warned_in_one_line(processes: Processes) -> None:
    processes.worker()

    until(lambda: _named(processes, "worker.runs_as_root"), what=processes.log)
    assert len(_named(processes, "worker.runs_as_root")) == 1
    assert "superuser" not in processes.log()
    assert "SecurityWarning" not in processes.log()


@pytest.mark.parametrize("command", ["worker", "beat", "flower"])
def test_a_process_of_celery_is_called_by_its_command(command: str) -> None:
    assert celery_command([str(Path("/bin/celery")), "-A", "workers", command]) == command


def test_a_process_is_called_as_the_supervisor_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PROCESS_VARIABLE, raising=False)
    assert process_name("worker") == "worker"

    monkeypatch.setenv(PROCESS_VARIABLE, "worker2")
    assert process_name("worker") == "worker2"
