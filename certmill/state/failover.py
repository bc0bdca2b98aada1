"""What a Redis answers that cannot serve us now, taken for a connection that is lost; and a password that may be changed.

After a fail-over the old master answers READONLY, or ends a blocking command with UNBLOCKED; a server that cannot save, or is full, answers
MISCONF or OOM. Clients take these for errors of the command and keep the connection. Here the connection is closed, so that the next
command connects anew (to whom the name leads then), and everybody who can outlive a lost connection outlives a fail-over.
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

_UNFIT_CLASSES = (ReadOnlyError, OutOfMemoryError, MasterDownError)
_UNFIT_CODES = ("READONLY", "UNBLOCKED", "MISCONF", "OOM", "MASTERDOWN", "NOREPLICAS")
_MOST_BYTES = 65_536


class ServerUnfit(Disconnected):
    """This server cannot serve us now; its own words. The connection is closed."""


def is_unfit(error: ResponseError) -> bool:
    """Is this answer about the server, and not about the command?"""
    return isinstance(error, _UNFIT_CLASSES) or str(error).split(" ", 1)[0] in _UNFIT_CODES


class _Leaving:
    """Closes the connection to a server that is unfit."""

    def read_response(self, *args: object, **options: object) -> object:  # redis-py's own signature
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except ResponseError as error:
            if not is_unfit(error):
                raise
            self.disconnect()  # type: ignore[attr-defined]
            raise ServerUnfit(f"{type(error).__name__}: {error}") from None


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
    """User and password of the URL in a file, read anew for each connection: a password that was changed needs no restart."""

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
