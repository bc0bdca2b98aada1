"""`python -m workers up`: all of it comes up, comes back, and goes away."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import redis

from certmill.settings import load
from compose.servers.ports import free_port
from tests.support.processes import CHECKOUT
from tests.support.waiting import until
from workers.supervisor import supervisor


@dataclass
class Machine:
    """An `up` in a directory of its own."""

    process: subprocess.Popen[bytes]
    directory: Path
    flower_port: int
    responder_port: int

    @property
    def output(self) -> str:
        return (self.directory / "up.log").read_text(encoding="utf-8")

    @property
    def pids(self) -> dict[str, int]:
        pids: dict[str, int] = json.loads((self.directory / "ready").read_text())["pids"]
        return pids

    @property
    def client(self) -> redis.Redis:
        url = (self.directory / "home" / "valkey" / "url").read_text().strip()
        return redis.Redis.from_url(url, socket_timeout=5)

    def children(self) -> set[int]:
        """Every process that runs in this directory, but the supervisor."""
        found = set()
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(self.directory):
                    found.add(int(entry.name))
        return found - {self.process.pid}


def _start(directory: Path, *flags: str, **environment: str) -> Machine:
    flower_port, responder_port = free_port(), free_port()
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    settings = {
        "CERTMILL_HOME": str(directory / "home"),
        "CERTMILL_FLOWER_PORT": str(flower_port),
        "CERTMILL_RESPONDER_PORT": str(responder_port),
        "CERTMILL_ADMIN_PORT": str(free_port()),
        "CERTMILL_WORKER_CONCURRENCY": "4",
        "PYTHONPATH": os.pathsep.join(filter(None, [kept.pop("PYTHONPATH", ""), str(CHECKOUT)])),
    }
    with (directory / "up.log").open("ab") as stream:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "workers",
                "up",
                "--workers",
                "1",
                "--ready-file",
                str(directory / "ready"),
                *flags,
            ],
            cwd=directory,
            env={**kept, **settings, **environment},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    return Machine(process, directory, flower_port, responder_port)


@contextmanager
def _running(directory: Path) -> Iterator[Machine]:
    running = _start(directory)
    try:
        until(
            lambda: (directory / "ready").exists() or running.process.poll() is not None,
            what=lambda: running.output,
        )
        assert running.process.poll() is None, running.output
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Shared: do not stop it."""
    with _running(tmp_path_factory.mktemp("up")) as machine:
        yield machine


@pytest.fixture
def own_machine(tmp_path: Path) -> Iterator[Machine]:
    """One for this test alone."""
    with _running(tmp_path) as machine:
        yield machine


def test_everything_comes_up_and_says_where(machine: Machine) -> None:
    assert set(machine.pids) == {"valkey", "worker1", "beat", "responder", "flower"}
    assert (
        f"flower http://127.0.0.1:{machine.flower_port} (user certmill, password in "
        f"{machine.directory}/home/flower-password)" in machine.output
    )
    assert f"other commands find it with CERTMILL_HOME={machine.directory}/home" in machine.output
    assert (machine.directory / "home" / "flower-password").read_text().strip() not in machine.output
    assert (machine.directory / "home" / "valkey" / "url").stat().st_mode & 0o777 == 0o600
    with urllib.request.urlopen(f"http://127.0.0.1:{machine.responder_port}/healthz", timeout=5) as answer:
        assert answer.status == 200
    with machine.client as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_each_process_has_an_admin_port_of_its_own_and_up_says_which(machine: Machine) -> None:
    ports: dict[str, int] = json.loads((machine.directory / "ready").read_text())["admin_ports"]

    assert set(ports) == {"beat", "responder", "worker1"}
    assert len(set(ports.values())) == 3
    assert (
        f"ports: beat {ports['beat']}, responder {ports['responder']}, worker1 {ports['worker1']}"
        in machine.output
    )
    for port in ports.values():
        until(partial(_is_ready, port), what=lambda: machine.output)
        until(partial(_tells_of_redis, port), what=lambda: machine.output)


def test_admin_ports_leave_out_those_of_flower_and_the_responder() -> None:
    first = free_port()

    ports = supervisor._admin_ports(load(admin_port=first, flower_port=first, responder_port=first + 1))

    assert next(ports) > first + 1


def _is_ready(port: int) -> bool:
    return _says(f"http://127.0.0.1:{port}/readyz") == "ok\n"


def _tells_of_redis(port: int) -> bool:
    return "certmill_redis_up 1.0" in _says(f"http://127.0.0.1:{port}/metrics")


def _says(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return str(answer.read().decode())
    except OSError as error:
        return str(error)


def test_valkey_wants_its_password(machine: Machine) -> None:
    with machine.client as client:
        port = client.connection_pool.connection_kwargs["port"]

    with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_sigterm_leaves_no_process_and_none_has_to_be_killed(own_machine: Machine) -> None:
    assert len(own_machine.children()) >= 5

    own_machine.process.send_signal(signal.SIGTERM)

    assert own_machine.process.wait(30) == 0
    assert own_machine.children() == set()
    assert "does not stop" not in own_machine.output


def test_sigkill_takes_the_children_along(own_machine: Machine) -> None:
    own_machine.process.kill()
    own_machine.process.wait()

    until(lambda: own_machine.children() == set(), what="a child outlives its supervisor")


@pytest.mark.parametrize("name", ["worker1", "beat", "responder", "flower", "valkey"])
def test_a_killed_child_is_started_again(machine: Machine, name: str) -> None:
    pids, pid = machine.pids, machine.pids[name]
    with machine.client as client:
        client.set("kept", "1")

    os.kill(pid, signal.SIGKILL)

    until(
        lambda: f"{name} ended (killed by SIGKILL); starts again in 1 s" in machine.output,
        what=lambda: machine.output,
    )
    until(
        lambda: pid not in (found := machine.children()) and len(found) >= len(pids),
        what=lambda: machine.output,
    )
    until(lambda: _kept(machine), what=lambda: machine.output)
    assert machine.process.poll() is None


def _kept(machine: Machine) -> bool:
    try:
        with machine.client as client:
            return bool(client.get("kept") == b"1")
    except redis.RedisError:
        return False


def test_a_home_has_one_embedded_valkey(machine: Machine) -> None:
    second = _start(machine.directory)

    assert second.process.wait(60) == 1
    assert "another `python -m workers up` runs in" in machine.output


def test_a_port_that_is_taken_ends_it_with_the_settings_name(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = _start(tmp_path, CERTMILL_FLOWER_PORT=str(taken.getsockname()[1]))

        assert running.process.wait(60) == 1
    assert "choose another with CERTMILL_FLOWER_PORT" in running.output
    assert running.children() == set()


def test_a_setting_that_is_wrong_ends_it_with_its_name(tmp_path: Path) -> None:
    running = _start(tmp_path, CERTMILL_WORKER_CONCURRENCY="many")

    assert running.process.wait(60) == 1
    assert "CERTMILL_WORKER_CONCURRENCY" in running.output
    assert "Traceback" not in running.output
