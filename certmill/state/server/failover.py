"""What a Redis answers that cannot serve us now, taken for a connection that is lost; and a password that may
be changed.

After a fail-over the old master answers READONLY, or ends a blocking command with UNBLOCKED; a server that
cannot save, or is full, answers
  MISCONF or OOM. Clients take these for errors of the command and keep the connection. Here the connection is
  closed, so that the next
command connects anew (to whom the name leads then), and everybody who can outlive a lost connection outlives
a fail-over.
"""

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
"""redis-py takes the code out of the text of these."""
_ADVICE = {
    "OOM": "its memory is full: raise its maxmemory, or see what fills it",
    "READONLY": "it is a replica, and takes no writes: let CERTMILL_REDIS_URL lead to the master",
    "UNBLOCKED": "it has just become a replica: let CERTMILL_REDIS_URL lead to the master",
    "MISCONF": "it cannot save its data, and takes no writes: see its log, and the space on its disk",
    "MASTERDOWN": "it is a replica without its master: let CERTMILL_REDIS_URL lead to the master",
    "NOREPLICAS": "it has fewer replicas than min-replicas-to-write demands: see to its replicas",
}
_MOST_BYTES = 65_536


class ServerUnfit(Disconnected):
    """This server cannot serve us now; its own words. The connection is closed. `advice`: what is wrong with
    it, and what to do."""

    def __init__(self, error: ResponseError) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.advice = _ADVICE.get(_code(error), "")


def is_unfit(error: ResponseError) -> bool:
    """Is this answer about the server, and not about the command?"""
    return _code(error) in _ADVICE


def _code(error: ResponseError) -> str:
    found = next((code for class_, code in _CODES.items() if isinstance(error, class_)), "")
    return found or str(error).split(" ", 1)[0]


class _Leaving:
    """Closes the connection to a server that is unfit."""

    def read_response(self, *args: object, **options: object) -> object:  # redis-py's own signature
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except ResponseError as error:
            if not is_unfit(error):
                raise
            self.disconnect()  # type: ignore[attr-defined]
            raise ServerUnfit(error) from None


class Connection(_Leaving, redis.Connection):
    """redis://"""


class SSLConnection(_Leaving, redis.SSLConnection):
    """rediss://"""


class UnixConnection(_Leaving, redis.UnixDomainSocketConnection):
    """unix://"""


CONNECTION_CLASSES: dict[str, type[redis.Connection | redis.UnixDomainSocketConnection]] = {
    "redis": Connection,
    "rediss": SSLConnection,
    "unix": UnixConnection,
}


class FileCredentials(CredentialProvider):
    """User and password of the URL in a file, read anew for each connection: a password that was changed
    needs no restart."""

    def __init__(self, file: Path, url: str) -> None:
        self._file = file
        self._known = _credentials(url)

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """What the file says now; what it said last, while it cannot be read."""
        try:
            with self._file.open("rb") as stream:
                url = stream.read(_MOST_BYTES).decode().strip()
            if url:  # it may be written in this moment
                self._known = _credentials(url)
        except (OSError, ValueError):
            pass
        return self._known


def _credentials(url: str) -> tuple[str] | tuple[str, str]:
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return (user, password) if user else (password,)


def without_credentials(url: str) -> str:
    """The URL, without its user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
