"""The admin port of real processes: what stands still is found, what waits for Redis is left alone, and
metrics answer in any case."""

from __future__ import annotations

import json
import math
import os
import signal
import time
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from certmill.state import keys
from compose.servers.ports import free_port
from tests.support.processes import Processes, Server
from tests.support.waiting import until


class Admin:
    """The admin port of one process."""

    def __init__(self) -> None:
        self.port = free_port()
        self.environment = {"CERTMILL_ADMIN_PORT": str(self.port)}

    def get(self, path: str, *, timeout: float = 20.0) -> tuple[int, str]:
        """(status, body); status 0: no answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def is_alive(self) -> bool:
        return self.get("/livez")[0] == 200

    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def value(self, sample: str, **labels: str) -> float:
        """A sample's value; NaN if it is not there."""
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for one in family.samples:
                if one.name == sample and labels.items() <= one.labels.items():
                    return float(one.value)
        return math.nan


@pytest.fixture
def admin() -> Admin:
    return Admin()


PROCESSES = {
    "worker": ("celery", "-A", "probe_app", "worker"),
    "beat": ("celery", "-A", "probe_app", "beat"),
    "responder": ("workers", "responder"),
}


def start(processes: Processes, process: str, admin: Admin, **environment: str):
    own = {"CERTMILL_RESPONDER_PORT": str(free_port())}
    return processes.start(
        *PROCESSES[process], log=f"{process}.log", **own, **admin.environment, **environment
    )


@pytest.mark.parametrize("process", sorted(PROCESSES))
def test_a_process_reports_its_metrics_and_that_it_is_ready(
    processes: Processes, admin: Admin, process: str
) -> None:
    start(processes, process, admin)
    until(admin.is_ready, what=lambda: f"{admin.get('/readyz')} {processes.log(f'{process}.log')}")

    assert admin.get("/livez") == (200, "ok\n")
    assert admin.value("certmill_redis_up") == 1
    assert admin.value("certmill_queue_length", queue="certmill.requests") == 0
    assert admin.value("process_resident_memory_bytes") > 1_000_000
    assert abs(admin.value("certmanager_clock_time_seconds") - time.time()) < 60


@pytest.mark.parametrize("process", sorted(PROCESSES))
def test_without_redis_metrics_answer_at_once_and_the_process_lives_unready(
    processes: Processes, server: Server, admin: Admin, process: str
) -> None:
    server.stop()
    start(processes, process, admin, PROBE_STALE_AFTER="3")
    until(admin.is_alive, what=lambda: processes.log(f"{process}.log"))
    time.sleep(6)

    began = time.monotonic()
    assert admin.value("certmill_redis_up") == 0
    assert time.monotonic() - began < 5
    until(admin.is_alive, what=lambda: str(admin.get("/livez")))  # one that stands still never lives again
    until(lambda: "Redis does not answer" in admin.get("/readyz")[1], what=lambda: str(admin.get("/readyz")))

    server.start()
    until(admin.is_ready, what=lambda: processes.log(f"{process}.log"))


def test_a_worker_that_has_lost_redis_lives_and_counts_the_errors(
    processes: Processes, server: Server, admin: Admin
) -> None:
    processes.worker(**admin.environment, PROBE_STALE_AFTER="3")
    until(admin.is_ready)

    server.stop()
    time.sleep(8)

    until(admin.is_alive, what=lambda: str(admin.get("/livez")))
    until(lambda: admin.value("certmill_redis_errors_total") >= 1, what=processes.log)


@pytest.mark.parametrize("process", ["worker", "beat"])
def test_a_main_loop_that_stands_still_fails_livez(processes: Processes, admin: Admin, process: str) -> None:
    running = start(processes, process, admin, PROBE_STALE_AFTER="8")
    until(admin.is_ready, what=lambda: processes.log(f"{process}.log"))
    time.sleep(10)
    until(admin.is_alive, what=lambda: str(admin.get("/livez")))

    running.send_signal(signal.SIGUSR2)  # the probe app's main thread stands still

    until(lambda: admin.get("/livez")[0] == 503)
    assert "the main loop has not turned for" in admin.get("/livez")[1]


def test_a_worker_whose_threads_are_all_stuck_fails_livez(processes: Processes, admin: Admin) -> None:
    processes.worker(**admin.environment, PROBE_STUCK_AFTER="2", CERTMILL_WORKER_CONCURRENCY="2")
    until(admin.is_alive)

    processes.publish("default/stuck")
    time.sleep(5)
    assert admin.is_alive(), "one of two threads still works"
    processes.publish("default/stuck")

    until(lambda: admin.get("/livez") == (503, "all threads are stuck in their tasks\n"))


@pytest.mark.parametrize("process", sorted(PROCESSES))
def test_a_process_that_is_stopped_lets_another_expose_at_once(
    processes: Processes, server: Server, admin: Admin, process: str
) -> None:
    running = start(processes, process, admin)
    until(admin.is_ready, what=lambda: processes.log(f"{process}.log"))
    admin.get("/metrics")
    with server.client as client:
        assert client.exists(keys.EXPOSER)

        running.send_signal(signal.SIGTERM)
        running.wait(60)

        assert not client.exists(keys.EXPOSER)


def test_a_second_process_takes_the_next_port_that_is_free(processes: Processes, admin: Admin) -> None:
    start(processes, "beat", admin)
    until(admin.is_ready, what=lambda: processes.log("beat.log"))

    start(processes, "worker", admin)

    until(lambda: "admin.listening" in processes.log("worker.log"), what=lambda: processes.log("worker.log"))
    line = next(line for line in processes.log("worker.log").splitlines() if "admin.listening" in line)
    told = json.loads(line)  # the log is set up before the port is told
    assert told["port"] != admin.port
    assert told["process"].startswith("worker")


def test_port_0_is_none(processes: Processes) -> None:
    processes.worker(CERTMILL_ADMIN_PORT="0")

    assert "admin." not in processes.log()
    assert os.environ.get("CERTMILL_ADMIN_PORT") is None
