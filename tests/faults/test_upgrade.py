"""A rolling upgrade: workers and beats of a previous release and of this one, side by side, with runs in
flight.

The previous release comes out of git. Where the clone is too shallow to have it, this is skipped:
tests/pipeline/test_releases.py, which reads what that release has recorded, runs everywhere."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile

import pytest

from certmill.testing.nameserver import Behaviour
from compose.local import ROOT
from compose.servers.process import ServerProcess
from compose.servers.redis import RedisServer
from tests.faults.lab import FaultyLab
from tests.faults.ledger import orders_by_name
from tests.faults.nameserver import MoodyNameserver, Trouble
from tests.support.releases import BEFORE_CONTINUATION, BEFORE_THE_CODEC

RELEASES = {
    "before records had a codec": BEFORE_THE_CODEC,
    "before workers continued with the next step": BEFORE_CONTINUATION,
}
PACKAGES = ("certmill", "tasks", "schedules", "workers")


class PreviousRelease:
    """Processes of the previous release, in the lab's home and Redis."""

    def __init__(self, lab, directory) -> None:
        self._lab, self._directory = lab, directory
        self.processes: dict[str, ServerProcess] = {}

    def start(self, name: str, *command: str) -> None:
        log = self._lab.directory / f"previous-{name}.log"
        process = self.processes[name] = ServerProcess(f"previous {name}", log=log)
        environment = self._lab.certmill.environment | {
            "PYTHONPATH": str(self._directory),
            "PYTHONUNBUFFERED": "1",
        }
        celery = [
            sys.executable,
            "-P",
            "-m",
            "celery",
            "--workdir",
            str(self._directory),
            "-A",
            "workers",
            *command,
        ]
        process.start(celery, answers=lambda: True, environment=environment)

    def stop(self) -> None:
        for process in self.processes.values():
            process.ask_to_stop()
        for process in self.processes.values():
            process.stop(timeout_seconds=60.0)
        self.processes.clear()


@pytest.fixture(scope="module", params=list(RELEASES.values()), ids=list(RELEASES))
def sources(request, tmp_path_factory):
    """The packages of a previous release."""
    release = request.param
    archive = subprocess.run(
        ["git", "archive", release, *PACKAGES], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip(
            f"this clone does not have the previous release ({release}): {archive.stderr.decode().strip()}"
        )
    directory = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(directory, filter="data")
    return directory


@pytest.fixture
def lab(tmp_path):
    with (
        MoodyNameserver() as nameserver,
        RedisServer(directory=tmp_path / "redis") as redis,
        FaultyLab(directory=tmp_path, redis_url=redis.url, redis=redis, nameserver=nameserver) as lab,
    ):
        yield lab


@pytest.fixture
def previous(lab, sources):
    release = PreviousRelease(lab, sources)
    yield release
    release.stop()


def begin(lab, prefix):
    """Request all of them. Half wait for DNS; the others are at any step."""
    wanted = [f"{prefix}-{number}" for number in range(8)]
    lab.nameserver.troubles.update(
        dict.fromkeys(wanted[::2], Trouble(behaviour=Behaviour.SERVFAIL, txt_only=True))
    )
    handles = [lab.request(name, f"{name}.example.test") for name in wanted]
    lab.until(
        lambda: all(step_of(lab, name) == "wait_for_propagation" for name in wanted[::2]),
        seconds=120,
        what="they wait",
    )
    return wanted, handles


def step_of(lab, name):
    record = lab.record(name)
    return record.step if record is not None else ""


def assert_issued_once(lab, wanted, handles):
    for handle in handles:
        handle.wait(150)
    ordered = orders_by_name(lab.runtime, "prod")
    assert {name: lab.status(name).revision for name in wanted} == dict.fromkeys(wanted, 1)
    assert {name: ordered[f"{name}.example.test"] for name in wanted} == dict.fromkeys(wanted, 1)
    lab.assert_nothing_is_left_of([f"{name}.example.test" for name in wanted])


def test_runs_of_the_previous_release_go_on_under_both_and_then_under_this_one(lab, previous):
    previous.start("worker", "worker", "-n", "previous@local")
    previous.start("beat", "beat")
    before, first = begin(lab, "before")

    lab.certmill.start(workers=1, beats=1)
    both, second = begin(lab, "both")
    lab.nameserver.heal(*before)
    assert_issued_once(lab, before, first)

    previous.stop()
    lab.nameserver.heal(*both)
    assert_issued_once(lab, both, second)
    assert None not in lab.pids().values()


def test_runs_of_this_release_continue_under_the_previous_one_after_a_downgrade(lab, previous):
    lab.certmill.start(workers=1, beats=1)
    wanted, handles = begin(lab, "back")

    for name in ("worker1", "beat1"):
        lab.certmill.processes.pop(name).stop(timeout_seconds=60.0)
    previous.start("worker", "worker", "-n", "previous@local")
    previous.start("beat", "beat")
    lab.nameserver.heal(*wanted)

    assert_issued_once(lab, wanted, handles)
