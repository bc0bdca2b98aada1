"""Read answers of the API server: JSON of limited size, or one of our errors with the server's message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Final

import urllib3
from urllib3.exceptions import HTTPError

from certmill.errors import (
    CertmillError,
    Conflict,
    Forbidden,
    HomeUnavailable,
    InvalidManifest,
    NotFound,
    WatchExpired,
)
from certmill.kube.objects import JsonObject, mapping, sequence, text

_CHUNK_BYTES: Final = 65_536
_MAX_RETRY_AFTER: Final = 300.0
_MAX_SAID: Final = 500
_MAX_DEPTH: Final = 100
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]')
_TERMINATING: Final = "NamespaceTerminating"
_UNKNOWN_FIELD: Final = "failed to create typed patch object"
"""The API server's message (an internal error) when a server-side apply has a field that the schema does not
have."""

_UNKNOWN_OWNER: Final = "because cannot find RESTMapping"
"""The message when owner admission does not know the owner's CustomResourceDefinition yet. This happens for
some seconds after the definition was created."""


_NO_RIGHT: Final = re.compile('User "[^"]*" cannot ')
"""The message for a missing permission. A refusal by admission has another text."""


class Missing(NotFound):
    """404 for an object of a known resource: the object, or the namespace of a new object, does not exist."""


class NotServed(HomeUnavailable):
    """404 for the resource: the API does not serve it (yet). Objects must not be treated as deleted."""


class TooLarge(HomeUnavailable):
    """The answer is larger than the limit; request fewer objects."""


def read(response: urllib3.BaseHTTPResponse, what: str, *, limit: int) -> bytes:
    """Read the whole answer, and return its connection to the pool. Raises HomeUnavailable if the answer is
    incomplete, and TooLarge."""
    try:
        content = response.read(limit + 1, decode_content=True)
    except (
        HTTPError,
        ValueError,
    ) as error:  # ValueError: a chunk of a negative size, which urllib3 passes on as http.client raises it
        response.close()
        raise HomeUnavailable(f"the API server cut short: {what} ({type(error).__name__})") from error
    if len(content) > limit:
        response.close()
        raise TooLarge(f"cannot {what}: the API server's answer is larger than {limit} bytes")
    response.release_conn()
    return content


def lines(response: urllib3.BaseHTTPResponse, what: str, *, limit: int) -> Iterator[bytes]:
    """The events of a watch as they arrive, one line each. Raises HomeUnavailable if the stream is
    incomplete, or a line is too large."""
    rest = b""
    try:
        while chunk := response.read1(_CHUNK_BYTES, decode_content=True):
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > limit:
                raise HomeUnavailable(f"cannot {what}: an event is larger than {limit} bytes")
            yield from (line for line in whole if line.strip())
        if rest.strip():
            raise HomeUnavailable(f"the API server cut short: {what} (in the middle of an event)")
    except HTTPError as error:
        raise HomeUnavailable(f"the API server cut short: {what} ({type(error).__name__})") from error


def parsed(content: bytes, what: str) -> JsonObject:
    """Parse a JSON object. Raises HomeUnavailable if the content is not one."""
    try:
        body = _loaded(content)
    except (ValueError, RecursionError):
        raise HomeUnavailable(f"cannot {what}: the API server's answer is not valid JSON") from None
    if not isinstance(body, dict):
        raise HomeUnavailable(f"cannot {what}: the API server's answer is not a JSON object")
    return body


def _loaded(content: bytes) -> object:
    try:
        return json.loads(content)
    except RecursionError:
        return json.loads(_shallow(content))


def _shallow(content: bytes) -> bytes:
    """The JSON with null in place of values that are nested too deeply. An Issuer's webhook config can be
    nested ten thousand times; such an object must not prevent the reading of others."""
    kept, copied, depth = [], 0, 0
    for token in _TOKEN.finditer(content):
        if token[0] in (b"[", b"{"):
            depth += 1
            if depth == _MAX_DEPTH:
                kept += [content[copied : token.start()], b"null"]
        elif token[0] in (b"]", b"}"):
            if depth == _MAX_DEPTH:
                copied = token.end()
            depth -= 1
    return b"".join([*kept, content[copied:]])


def status_of(content: bytes) -> Mapping[str, object]:
    """The Status object of an error answer; empty if there is none."""
    try:
        return mapping(json.loads(content))
    except (ValueError, RecursionError):
        return {}


def message_of(status: Mapping[str, object]) -> str:
    """The server's message on one line. It names the wrong field or the missing permission."""
    return " ".join(text(status.get("message")).split())[:_MAX_SAID]


def is_terminating(status: Mapping[str, object]) -> bool:
    """Whether a create was refused because its namespace is being deleted."""
    causes = sequence(mapping(status.get("details")).get("causes"))
    return any(mapping(cause).get("reason") == _TERMINATING for cause in causes)


def error_of(code: int, status: Mapping[str, object], headers: Mapping[str, str], what: str) -> CertmillError:
    """The error for an answer with an error status."""
    words = message_of(status)
    error: CertmillError | None = None
    match code:
        case HTTPStatus.NOT_FOUND:
            error = _absent(status, what)
        case HTTPStatus.CONFLICT:
            error = Conflict(f"cannot {what}: it changed meanwhile")
        case HTTPStatus.GONE:
            error = WatchExpired(
                f"cannot {what}: its resource version is too old; the objects are listed again"
            )
        case HTTPStatus.UNAUTHORIZED:  # temporary: the token is read again before the next request
            refusal = f"refuses our token{f' ({words})' if words else ''}"
            error = HomeUnavailable(
                f"cannot {what}: the API server {refusal}; check that our service account is there"
            )
        case HTTPStatus.FORBIDDEN:
            error = _forbidden(status, what)
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNPROCESSABLE_ENTITY | HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            error = InvalidManifest(
                f"cannot {what}: {words or 'the API server answers that the request is not valid'}"
            )
        case HTTPStatus.INTERNAL_SERVER_ERROR if words.startswith(_UNKNOWN_FIELD):
            error = InvalidManifest(f"cannot {what}: {words}")
    because = f": {words}" if words else ""  # for example that an admission webhook does not answer
    return error or HomeUnavailable(
        f"cannot {what}: the API server answers {code}{because}", retry_after=_retry_after(headers)
    )


def _forbidden(status: Mapping[str, object], what: str) -> CertmillError:
    words = message_of(status)
    if is_terminating(status):
        return Forbidden(f"cannot {what}: its namespace is being deleted; nothing new can be made there")
    if _UNKNOWN_OWNER in words:
        return HomeUnavailable(f"cannot {what}: {words}")
    if words and not _NO_RIGHT.search(words):
        return Forbidden(f"cannot {what}: {words}; a quota, a policy or a webhook of the cluster refuses it")
    return Forbidden(
        f"cannot {what}: {words or 'the API server refuses us'}; see the roles of certmill's chart"
    )


def _absent(status: Mapping[str, object], what: str) -> CertmillError:
    if status.get("kind") == "Status":
        return Missing(f"cannot {what}: {message_of(status) or 'not found'}")
    return NotServed(
        f"cannot {what}: the API does not serve this resource; check that its CustomResourceDefinition is "
        "installed"
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "")
    return min(float(value), _MAX_RETRY_AFTER) if value.isascii() and value.isdecimal() else None
