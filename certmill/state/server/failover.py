"""Treats a Redis that cannot serve requests as a lost connection, and reads a changed password without a
restart.

After a fail-over the old master answers READONLY, or ends a blocking command with UNBLOCKED. A server that
cannot save answers MISCONF, and a full one OOM. Clients treat these answers as errors of the command and keep
the connection. Here the connection is closed. The next command connects again, to the server that the name
resolves to then. Code that survives a lost connection therefore survives a fail-over."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import redis
from redis.credentials import CredentialProvider
from redis.exceptions import (
    ConnectionError as Disconnected,
)
from redis.exceptions import (
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

_CODES = {ReadOnlyError: "READONLY", OutOfMemoryError: "OOM", MasterDownError: "MASTERDOWN"}
"""redis-py removes the code from the text of these errors."""
_ADVICE = {
    "OOM": "its memory is full: raise its maxmemory, or see what fills it",
    "READONLY": "it is a replica and accepts no writes: set CERTMILL_REDIS_URL to the master",
    "UNBLOCKED": "it has just become a replica: set CERTMILL_REDIS_URL to the master",
    "MISCONF": "it cannot save its data and accepts no writes: check its log, and the space on its disk",
    "MASTERDOWN": "it is a replica without its master: set CERTMILL_REDIS_URL to the master",
    "NOREPLICAS": "it has fewer replicas than min-replicas-to-write demands: see to its replicas",
}
_MOST_BYTES = 65_536


class ServerUnfit(Disconnected):
    """This server cannot serve requests now. The text is the server's own, and the connection is closed.
    `advice` says what is wrong and what to do."""

    def __init__(self, error: ResponseError) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.advice = _ADVICE.get(_code(error), "")


def is_unfit(error: ResponseError) -> bool:
    """Whether this answer is about the server, and not about the command."""
    return _code(error) in _ADVICE


def _code(error: ResponseError) -> str:
    found = next((code for class_, code in _CODES.items() if isinstance(error, class_)), "")
    return found or str(error).split(" ", 1)[0]


class _Leaving:
    """Closes the connection to a server that cannot serve requests."""

    def read_response(self, *args: object, **options: object) -> object:  # redis-py's own signature
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except ResponseError as error:
            if not is_unfit(error):
                raise
            self.disconnect()  # type: ignore[attr-defined]
            raise ServerUnfit(error) from None


class Connection(_Leaving, redis.Connection):
    """A connection for redis://."""


class SSLConnection(_Leaving, redis.SSLConnection):
    """A connection for rediss://."""


class UnixConnection(_Leaving, redis.UnixDomainSocketConnection):
    """A connection for unix://."""


CONNECTION_CLASSES: dict[str, type[redis.Connection | redis.UnixDomainSocketConnection]] = {
    "redis": Connection,
    "rediss": SSLConnection,
    "unix": UnixConnection,
}


class FileCredentials(CredentialProvider):
    """User and password of the URL in a file. The file is read again for each connection, so a changed
    password needs no restart."""

    def __init__(self, file: Path, url: str) -> None:
        self._file = file
        self._known = _credentials(url)

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return what the file contains now. While it cannot be read, return what it contained last."""
        try:
            with self._file.open("rb") as stream:
                url = stream.read(_MOST_BYTES).decode().strip()
            if url:  # the file is empty while it is being written
                self._known = _credentials(url)
        except (OSError, ValueError):
            pass
        return self._known


def _credentials(url: str) -> tuple[str] | tuple[str, str]:
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return (user, password) if user else (password,)


def without_credentials(url: str) -> str:
    """Return the URL without its user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
