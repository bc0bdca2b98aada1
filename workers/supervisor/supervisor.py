"""The supervisor of `python -m workers up`: runs all processes on one machine.

It starts an embedded Valkey if no URL is set, then workers, beat, the responder and Flower. Each is a
separate process, which is started again when it ends. The supervisor has no state: killing it at any time
loses nothing, and ends its children too."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from certmill import settings as certmill_settings
from certmill.errors import CertmillError
from certmill.settings import Settings
from workers.flower import defaults as flower
from workers.process import PROCESS_VARIABLE, READY_FILE_VARIABLE
from workers.supervisor import embedded
from workers.supervisor.children import Child, Program, file_probe

_LOOK_EVERY_SECONDS = 0.2  # while processes start or stop
_UP_EVERY_SECONDS = 1.0
_READY_WITHIN_SECONDS = 60.0
_DEATHS_BEFORE_READY = 3
_WORKER_PATIENCE_SECONDS = 45.0  # a busy worker finishes its current step; an idle one ends at once
VALKEY = "valkey"
FLOWER = "flower"
ADMIN_PORT_VARIABLE = "CERTMILL_ADMIN_PORT"
_URL_VARIABLES = ("CERTMILL_REDIS_URL", "CERTMILL_REDIS_URL_FILE", "REDIS_URL")


class CannotStart(Exception):
    """The processes cannot be started. The message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The settings, and the programs to run."""

    settings: Settings
    programs: tuple[Program, ...]
    valkey: embedded.EmbeddedValkey | None


def up(*, workers: int, ready_file: Path | None = None) -> int:
    """Run everything until SIGTERM or SIGINT. Returns the exit code."""
    os.umask(0o077)  # for the children too: Valkey's files contain the work in flight
    with tempfile.TemporaryDirectory(prefix="certmill-", ignore_cleanup_errors=True) as run:
        try:
            plan = _plan(workers, Path(run))
            return _Supervisor(plan, ready_file).run()
        except (CertmillError, CannotStart, embedded.CannotEmbed) as error:
            _print(f"certmill cannot start: {error}")
            return 1


def _plan(workers: int, run: Path) -> Plan:
    environment = _environment()
    valkey = None
    settings = certmill_settings.load()
    if not any(os.environ.get(name) for name in _URL_VARIABLES):
        valkey = embedded.prepare(settings.home)
        environment["CERTMILL_REDIS_URL_FILE"] = str(valkey.url_file)
    environment["CERTMILL_HOME"] = str(settings.home.absolute())
    _check_port(settings.responder_host, settings.responder_port, "CERTMILL_RESPONDER_PORT")
    _check_port(settings.flower_address, settings.flower_port, "CERTMILL_FLOWER_PORT")
    programs = tuple(_programs(settings, environment, run, workers))
    if valkey is not None:
        server = Program(
            name=VALKEY,
            command=valkey.command,
            environment=os.environ,
            probe=valkey.answers,
            inherited=(valkey.lock,),
        )
        programs = (server, *programs)
    return Plan(settings=settings, programs=programs, valkey=valkey)


def _programs(
    settings: Settings, environment: Mapping[str, str], run: Path, workers: int
) -> Iterator[Program]:
    ports = _admin_ports(settings)
    celery = (sys.executable, "-m", "celery", "--quiet", "-A", "workers")

    def program(
        name: str, *command: str, probe: Callable[[], bool] | None = None, patience_seconds: float = 10.0
    ) -> Program:
        ready = run / name
        marked = {**environment, PROCESS_VARIABLE: name, READY_FILE_VARIABLE: str(ready)}
        port = next(ports, 0) if name != FLOWER else 0  # Flower has /metrics and /healthcheck on its own port
        marked[ADMIN_PORT_VARIABLE] = str(port)
        return Program(
            name=name,
            command=command,
            environment=marked,
            probe=probe or file_probe(ready),
            patience_seconds=patience_seconds,
        )

    yield program("beat", *celery, "beat")
    yield program("responder", sys.executable, "-m", "workers", "responder")
    for number in range(1, workers + 1):
        name = f"worker{number}"
        yield program(name, *celery, "worker", "-n", f"{name}@%h", patience_seconds=_WORKER_PATIENCE_SECONDS)
    yield program(
        FLOWER, *celery, "flower", probe=lambda: _accepts(settings.flower_address, settings.flower_port)
    )


class _Supervisor:
    def __init__(self, plan: Plan, ready_file: Path | None) -> None:
        self._plan = plan
        self._ready_file = ready_file
        self._servers = [Child(program) for program in plan.programs if program.name == VALKEY]
        self._clients = [Child(program) for program in plan.programs if program.name != VALKEY]
        self._stop = threading.Event()
        self._stops = 0

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_stop)
        try:
            self._come_up()
            self._stay_up()
        finally:
            self._go_down()
        return 0

    def _asked_to_stop(self, *_: object) -> None:
        self._stops += 1
        self._stop.set()

    def _come_up(self) -> None:
        deadline = time.monotonic() + _READY_WITHIN_SECONDS
        for group in (self._servers, self._clients):
            waiting = group
            while waiting and not self._stop.is_set():
                self._check_children()
                waiting = [child for child in waiting if not child.is_ready()]
                self._give_up_on(waiting, late=time.monotonic() > deadline)
                self._stop.wait(_LOOK_EVERY_SECONDS)
        if not self._stop.is_set():
            self._announce()

    def _give_up_on(self, waiting: list[Child], *, late: bool) -> None:
        for child in waiting:
            if child.exits >= _DEATHS_BEFORE_READY:
                raise CannotStart(
                    f"{child.program.name} does not start (exit code {child.exit_code}); its lines above "
                    "say why"
                )
        if late and waiting:
            names = ", ".join(child.program.name for child in waiting)
            raise CannotStart(
                f"not ready after {_READY_WITHIN_SECONDS:.0f} s: {names}; check that Redis can be reached, "
                "and the lines above"
            )

    def _stay_up(self) -> None:
        while not self._stop.is_set():
            self._check_children()
            self._stop.wait(_UP_EVERY_SECONDS)

    def _check_children(self) -> None:
        """Start and check the children, the server first. The server is probed only when another process must
        be started."""
        due = [child for child in self._clients if child.is_due()]
        for child in (*self._servers, *due):
            if child in due and not all(server.is_ready() for server in self._servers):
                return
            news = child.start_or_reap()
            if news:
                _print(news)

    def _go_down(self) -> None:
        """Stop all clients at once, then Valkey. A second signal ends the waiting."""
        started, stops = time.monotonic(), self._stops
        for group in (self._clients, self._servers):
            for child in group:
                child.terminate()
            for child in group:
                while not child.wait(_LOOK_EVERY_SECONDS):
                    if (
                        self._stops > max(stops, 1)
                        or time.monotonic() - started > child.program.patience_seconds
                    ):
                        _print(f"{child.program.name} does not stop; killed")
                        child.kill()

    def _announce(self) -> None:
        settings, valkey = self._plan.settings, self._plan.valkey
        login = (
            "configured password"
            if settings.flower_password is not None
            else f"password in {flower.password_file(settings)}"
        )
        workers = sum(child.program.name.startswith("worker") for child in self._clients)
        _print(f"certmill is up: home {settings.home.absolute()}, {workers} workers")
        if valkey is not None:
            _print(
                f"redis (embedded) 127.0.0.1:{valkey.port}; other commands find it with "
                f"CERTMILL_HOME={settings.home.absolute()}"
            )
        _print(f"responder http://{settings.responder_host}:{settings.responder_port}")
        _print(
            f"flower http://{settings.flower_address}:{settings.flower_port} (user {settings.flower_user}, "
            f"{login})"
        )
        ports = {
            child.program.name: int(child.program.environment.get(ADMIN_PORT_VARIABLE, 0))
            for child in self._clients
        }
        ports = {name: port for name, port in ports.items() if port}
        if ports:
            listed = ", ".join(f"{name} {port}" for name, port in ports.items())
            _print(
                f"metrics http://{settings.admin_host}:{next(iter(ports.values()))}/metrics, and /livez, "
                f"/readyz; ports: {listed}"
            )
        if self._ready_file is not None:
            pids = {child.program.name: child.pid for child in (*self._servers, *self._clients)}
            facts = {
                "pids": pids,
                "admin_ports": ports,
                "redis_url_file": str(valkey.url_file) if valkey is not None else None,
            }
            made = self._ready_file.with_name(f"{self._ready_file.name}.new")
            made.write_text(json.dumps(facts), encoding="utf-8")
            made.replace(self._ready_file)


def _environment() -> dict[str, str]:
    """Return our environment, with the checkout on PYTHONPATH, so that `up` works in any directory."""
    checkout = str(Path(__file__).resolve().parents[2])
    paths = [checkout, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _admin_ports(settings: Settings) -> Iterator[int]:
    """Yield free ports, beginning at the configured one, without the ports of the responder and Flower. A
    process that is started again has the same port. Yields none if the setting is 0."""
    others = (settings.responder_port, settings.flower_port)
    ports = (port for port in range(settings.admin_port, 65536) if port not in others)
    if settings.admin_port:
        yield from (port for port in ports if _port_trouble(settings.admin_host, port) is None)


def _check_port(host: str, port: int, variable: str) -> None:
    trouble = _port_trouble(host, port)
    if trouble is not None:
        raise CannotStart(f"cannot listen on {host} port {port} ({trouble}); choose another with {variable}")


def _port_trouble(host: str, port: int) -> str | None:
    """Return why no process can listen there, or None if the port is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or "the address is not usable"
    return None


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
