"""A process that stands still is found, and one that waits for Redis is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.workers.running import CHECKOUT, Processes, Server, eventually
from workers.alive import Heartbeat, age_of, main

LATE = 8.0
"""Seconds without a sign of life that these tests take for standing still; the event loop of a worker gives one every five."""


def probe(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the kubelet runs."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "CERTMILL_HEARTBEAT_FILE": str(file)}
    return subprocess.run([sys.executable, "-m", "workers.alive", *arguments], env=environment, capture_output=True, text=True, check=False)


def is_alive(file: Path) -> bool:
    return probe(file, str(LATE)).returncode == 0


def test_no_sign_of_life_yet_is_told(tmp_path: Path) -> None:
    answer = probe(tmp_path / "heartbeat")

    assert (answer.returncode, answer.stderr) == (1, "no sign of life yet\n")


def test_a_sign_of_life_is_good_for_two_minutes(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    Heartbeat(file).beat()

    assert main([], str(file)) == 0
    os.utime(file, (0, time.time() - 90))
    assert main([], str(file)) == 0
    os.utime(file, (0, time.time() - 121))
    assert main([], str(file)) == 1


def test_a_probe_without_a_file_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], "") == 1
    assert capsys.readouterr().err == "CERTMILL_HEARTBEAT_FILE is not set\n"


def test_a_loop_that_turns_a_thousand_times_a_second_touches_the_file_once(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    heartbeat = Heartbeat(file)

    heartbeat.beat()
    os.utime(file, (0, 0))
    for _ in range(1000):
        heartbeat.beat()

    assert file.stat().st_mtime == 0


def test_a_file_that_cannot_be_touched_stops_nobody(tmp_path: Path) -> None:
    Heartbeat(tmp_path / "absent" / "heartbeat").beat()

    assert age_of(tmp_path / "absent" / "heartbeat") is None


@pytest.mark.parametrize("process", ["worker", "beat"])
def test_a_process_that_hangs_is_found(processes: Processes, tmp_path: Path, process: str) -> None:
    file = tmp_path / "heartbeat"
    running = processes.start("celery", "-A", "probe_app", process, log=f"{process}.log", CERTMILL_HEARTBEAT_FILE=str(file))
    eventually(partial(is_alive, file), what=lambda: processes.log(f"{process}.log"))

    running.send_signal(signal.SIGSTOP)

    eventually(lambda: not is_alive(file))
    running.send_signal(signal.SIGCONT)
    eventually(partial(is_alive, file))


@pytest.mark.parametrize("process", ["worker", "beat"])
def test_a_process_that_waits_for_redis_is_alive_and_stays_so(processes: Processes, server: Server, tmp_path: Path, process: str) -> None:
    file = tmp_path / "heartbeat"
    server.stop()
    processes.start("celery", "-A", "probe_app", process, log=f"{process}.log", CERTMILL_HEARTBEAT_FILE=str(file))
    eventually(partial(is_alive, file), what=lambda: processes.log(f"{process}.log"))
    file.unlink()
    eventually(partial(is_alive, file), what=lambda: processes.log(f"{process}.log"))

    server.start()
    time.sleep(1)
    file.unlink()

    eventually(partial(is_alive, file), what=lambda: processes.log(f"{process}.log"))


def test_a_worker_that_has_lost_redis_is_alive(processes: Processes, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    processes.worker(CERTMILL_HEARTBEAT_FILE=str(file))
    server.stop()
    time.sleep(LATE)
    file.unlink()

    eventually(partial(is_alive, file), what=processes.log)


def test_a_worker_whose_threads_are_all_stuck_is_found(processes: Processes, tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    stuck = {"CERTMILL_HEARTBEAT_FILE": str(file), "PROBE_STUCK_AFTER": "2"}
    processes.worker(**stuck, CERTMILL_WORKER_CONCURRENCY="2")
    eventually(partial(is_alive, file))

    processes.ring("default/stuck")
    eventually(lambda: is_alive(file))
    time.sleep(2 * LATE)
    file.unlink()
    eventually(partial(is_alive, file), what="one of two threads still works")
    processes.ring("default/stuck")

    eventually(lambda: not is_alive(file))
