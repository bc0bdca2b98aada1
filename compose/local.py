"""Starts one certmill installation on this machine, process by process: workers, beats, the responder,
Flower. For tests and the benchmark.

The home is a directory. A user runs `python -m workers up` instead. Here each process can be started, killed
and frozen separately.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from certmill.client import Client
from certmill.runtime import Runtime
from certmill.settings import Settings
from compose.servers.ports import answers, free_port
from compose.servers.process import ServerProcess, Spawn, spawn

ROOT = Path(__file__).resolve().parent.parent


@dataclass(kw_only=True)
class LocalCertmill:
    """The processes of one installation. The keys of `settings` are CERTMILL_* names in lower case, without
    the prefix."""

    directory: Path
    redis_url: str
    settings: Mapping[str, str] = field(default_factory=dict)
    settings_of: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Per kind of process (worker, beat, responder, flower, controller): settings that are added to, or
    replace, those in `settings`."""
    spawn: Spawn = spawn
    processes: dict[str, ServerProcess] = field(default_factory=dict, init=False)
    responder_port: int = field(default=0, init=False)
    flower_port: int = field(default=0, init=False)
    admin_ports: dict[str, int] = field(default_factory=dict, init=False)
    """Process name → port."""
    _client: Client | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.responder_port, self.flower_port = free_port(), free_port()
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of every process of this installation."""
        own = {
            "home": str(self.home),
            "redis_url": self.redis_url,
            "responder_port": str(self.responder_port),
            "flower_port": str(self.flower_port),
            "flower_password": "correct-horse-battery-staple",
            "log_format": "json",
            **self.settings,
        }
        return {f"CERTMILL_{name.upper()}": value for name, value in own.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(
        self, *, workers: int = 1, beats: int = 1, responder: bool = True, flower: bool = False
    ) -> None:
        """Start the processes. Returns when the responder and Flower listen and the other processes have been
        started.

        Raises ServerFailed.
        """
        for number in range(workers):
            self.start_worker(f"worker{number + 1}")
        for number in range(beats):
            self._start(f"beat{number + 1}", "-m", "celery", "-A", "workers", "beat")
        if responder:
            self._start("responder", "-m", "workers", "responder", port=self.responder_port)
        if flower:
            self._start("flower", "-m", "celery", "-A", "workers", "flower", port=self.flower_port)

    def start_controller(self, name: str = "controller") -> ServerProcess:
        """Start the controller, or start it again. Raises ServerFailed."""
        return self._start(name, "-m", "workers", "controller")

    def start_worker(self, name: str, *, app: str = "workers", **settings: str) -> ServerProcess:
        """Start a worker, or start it again. `settings` apply to this worker only; `app` is Celery's `-A`.

        Raises ServerFailed.
        """
        return self._start(
            name, "-m", "celery", "-A", app, "worker", "-n", f"{name}@local", settings=settings
        )

    def stop(self) -> None:
        """Stop all processes. SIGTERM goes to all of them first, because each needs a moment to end."""
        if self._client is not None:
            self._client.close()
            self._client = None
        for process in self.processes.values():
            process.ask_to_stop()
        for process in self.processes.values():
            process.stop(timeout_seconds=10.0)
        self.processes.clear()

    def log_of(self, name: str) -> str:
        """The log of a process."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def admin(self, name: str, path: str = "/metrics") -> str:
        """The body that a process returns on its admin port, for any HTTP status. Raises
        urllib.error.URLError if it does not answer."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.admin_ports[name]}{path}", timeout=10
            ) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode()

    def client(self) -> Client:
        """The client of this installation. stop() closes it."""
        if self._client is None:
            self._client = Client.connect(self.redis_url)
        return self._client

    def open(self) -> Runtime:
        """Open the engine of this installation in the current process."""
        names = Settings.model_fields
        values = {
            name: value
            for key, value in self.environment.items()
            if (name := key.removeprefix("CERTMILL_").lower()) in names
        }
        return Runtime.open(Settings.model_validate(values))

    def _start(
        self, name: str, *arguments: str, port: int = 0, settings: Mapping[str, str] | None = None
    ) -> ServerProcess:
        if name not in self.processes:
            log = self.directory / f"{name}.log"
            self.processes[name] = ServerProcess(name, log=log, spawn=self.spawn)
        process = self.processes[name]
        admin_port = str(self.admin_ports.setdefault(name, free_port()))
        own = {
            "admin_port": admin_port,
            **self.settings_of.get(name.rstrip("0123456789"), {}),
            **(settings or {}),
        }
        environment = self.environment | {f"CERTMILL_{key.upper()}": value for key, value in own.items()}
        environment |= {
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "PYTHONUNBUFFERED": "1",
        }
        process.start(
            [sys.executable, *arguments], answers=lambda: port == 0 or answers(port), environment=environment
        )
        return process
