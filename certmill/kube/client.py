"""One call a verb on the API server: JSON in, JSON out, each bounded in time and size, errors told as ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient
from urllib3.exceptions import HTTPError

from certmill.errors import CertmillError, Conflict, Forbidden, HomeUnavailable, InvalidManifest, NotFound, WatchExpired
from certmill.kube.objects import JsonObject, mapping, meta_of, sequence, text
from certmill.kube.resources import Resource
from certmill.version import __version__

FIELD_MANAGER: Final = "certmill"
CONNECT_SECONDS: Final = 5.0
REQUEST_SECONDS: Final = 15.0
PAGE: Final = 500
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""Of a page of PAGE objects; etcd takes objects of up to 1.5 MB."""
MAX_EVENT_BYTES: Final = 8 * 1024 * 1024
_CHUNK_BYTES: Final = 65_536
_METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_MAX_RETRY_AFTER: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A collection at one resource version, from which a watch goes on."""

    items: tuple[JsonObject, ...]
    resource_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent:
    """ADDED, MODIFIED, DELETED or BOOKMARK, and the object (of a BOOKMARK: its resourceVersion only)."""

    type: str
    object: JsonObject


class KubeClient:
    """Calls on one API server. Safe from many threads.

    Every method raises HomeUnavailable when the server does not answer, is busy (429) or in trouble (5xx), and Forbidden when it refuses
    us; what else is raised, each method says.
    """

    def __init__(self, api: ApiClient) -> None:
        self._configuration: Any = api.configuration
        self._host = str(api.configuration.host).rstrip("/")
        self._pools: urllib3.PoolManager = api.rest_client.pool_manager

    def get(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        """One object, or None."""
        return self._found("GET", resource.path(namespace, name), what=f"read {_named(resource, namespace, name)}")

    def list(self, resource: Resource, namespace: str = "", *, labels: str = "", metadata_only: bool = False) -> Listing:
        """All objects (of a namespace), page by page. Raises WatchExpired when that took too long."""
        items: list[JsonObject] = []
        query = {"limit": str(PAGE), "labelSelector": labels}
        while True:
            path = resource.path(namespace)
            page = self._json("GET", path, query=query, accept=_METADATA_LIST if metadata_only else "", what=f"list {resource.plural}")
            items += [cast("JsonObject", item) for item in sequence(page.get("items"))]
            about = mapping(page.get("metadata"))
            query["continue"] = text(about.get("continue"))
            if not query["continue"]:
                return Listing(items=tuple(items), resource_version=text(about.get("resourceVersion")))

    def create(self, resource: Resource, body: Mapping[str, object]) -> JsonObject:
        """Raises Conflict if there is one of this name, InvalidManifest if the server refuses the object."""
        meta = meta_of(body)
        what = f"create {_named(resource, meta.namespace, meta.name)}"
        return self._json("POST", resource.path(meta.namespace), query={"fieldManager": FIELD_MANAGER}, body=body, what=what)

    def update(self, resource: Resource, body: Mapping[str, object], *, subresource: str = "") -> JsonObject | None:
        """Replace an object (or its `status`); None if it is gone. Raises Conflict if it changed since, InvalidManifest."""
        meta = meta_of(body)
        path = resource.path(meta.namespace, meta.name, subresource)
        what = f"write {_named(resource, meta.namespace, meta.name)}"
        return self._found("PUT", path, query={"fieldManager": FIELD_MANAGER}, body=body, what=what)

    def merge(
        self, resource: Resource, namespace: str, name: str, patch: Mapping[str, object], *, subresource: str = ""
    ) -> JsonObject | None:
        """A JSON merge patch (RFC 7386); None if the object is gone. Raises Conflict, InvalidManifest."""
        path = resource.path(namespace, name, subresource)
        what = f"change {_named(resource, namespace, name)}"
        query = {"fieldManager": FIELD_MANAGER}
        return self._found("PATCH", path, query=query, body=patch, content_type="application/merge-patch+json", what=what)

    def apply(self, resource: Resource, body: Mapping[str, object]) -> JsonObject:
        """Server-side apply as our field manager, by force: what we name becomes ours, what we no longer name goes.

        Raises InvalidManifest.
        """
        meta = meta_of(body)
        path = resource.path(meta.namespace, meta.name)
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        what = f"apply {_named(resource, meta.namespace, meta.name)}"
        return self._json("PATCH", path, query=query, body=body, content_type="application/apply-patch+yaml", what=what)

    def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> bool:
        """False if it was not there. With `uid`, only that very object: raises Conflict if it is another by now."""
        options: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        what = f"delete {_named(resource, namespace, name)}"
        return self._found("DELETE", resource.path(namespace, name), body=options, what=what) is not None

    def serves(self, resource: Resource) -> bool:
        """Whether the API has this resource: a CustomResourceDefinition may be absent, or appear later."""
        group = self._found("GET", f"/apis/{resource.group}/{resource.version}", what=f"discover {resource.plural}")
        return group is not None and any(mapping(found).get("name") == resource.plural for found in sequence(group.get("resources")))

    def watch(
        self, resource: Resource, namespace: str = "", *, resource_version: str, seconds: int, labels: str = "", metadata_only: bool = False
    ) -> Iterator[WatchEvent]:
        """What happens from `resource_version` on, for at most `seconds`. Raises WatchExpired (410: list again) besides."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
            "labelSelector": labels,
        }
        what = f"watch {resource.plural}"
        accept = _METADATA if metadata_only else ""
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds + REQUEST_SECONDS)
        response = self._send("GET", resource.path(namespace), query=query, accept=accept, timeout=timeout, what=what)
        try:
            if response.status != HTTPStatus.OK:
                self._fail(response.status, _read(response), response.headers, what)
            for line in _lines(response):
                yield self._event(line, what)
        except HTTPError as error:
            raise HomeUnavailable(f"the API server cut short: {what} ({type(error).__name__})") from error
        finally:
            response.close()

    def _event(self, line: bytes, what: str) -> WatchEvent:
        event = _parsed(line, what)
        body = cast("JsonObject", dict(mapping(event.get("object"))))
        if event.get("type") == "ERROR":
            code = body.get("code")
            self._fail(code if isinstance(code, int) else HTTPStatus.INTERNAL_SERVER_ERROR, line, {}, what)
        return WatchEvent(type=text(event.get("type")), object=body)

    def _found(self, method: str, path: str, *, what: str, **options: Any) -> JsonObject | None:  # noqa: ANN401 - those of _json
        try:
            return self._json(method, path, what=what, **options)
        except _Missing:
            return None

    def _json(
        self,
        method: str,
        path: str,
        *,
        what: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        content_type: str = "application/json",
        accept: str = "",
    ) -> JsonObject:
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=REQUEST_SECONDS)
        response = self._send(method, path, query=query, body=body, content_type=content_type, accept=accept, timeout=timeout, what=what)
        try:
            content = _read(response)
        except HTTPError as error:
            response.close()
            raise HomeUnavailable(f"the API server cut short: {what} ({type(error).__name__})") from error
        response.release_conn()
        if response.status >= HTTPStatus.BAD_REQUEST:
            self._fail(response.status, content, response.headers, what)
        return _parsed(content, what)

    def _send(
        self,
        method: str,
        path: str,
        *,
        what: str,
        timeout: urllib3.Timeout,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        content_type: str = "application/json",
        accept: str = "",
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": accept or "application/json", "User-Agent": f"certmill/{__version__}"}
        if body is not None:
            headers["Content-Type"] = content_type
        if token := self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization"):
            headers["Authorization"] = token
        asked = {name: value for name, value in (query or {}).items() if value}
        url = f"{self._host}{path}{'?' + urlencode(asked) if asked else ''}"
        content = json.dumps(body, separators=(",", ":")).encode() if body is not None else None
        try:
            return self._pools.request(
                method, url, body=content, headers=headers, timeout=timeout, preload_content=False, redirect=False, retries=False
            )
        except HTTPError as error:
            raise HomeUnavailable(f"the API server does not answer: cannot {what} ({type(error).__name__})") from error

    def _fail(self, status: int, content: bytes, headers: Mapping[str, str], what: str) -> None:
        """Raise what a status means. The server's own words are kept: they name the field, or the right that is missing."""
        said = ""
        with suppress(HomeUnavailable):
            said = " ".join(text(_parsed(content, what).get("message")).split())[:500]
        raise _error(status, said, headers, what)


class _Missing(NotFound):
    """404: a verb on one object answers None then; of a collection it means that the API has no such resource."""


def _error(status: int, said: str, headers: Mapping[str, str], what: str) -> CertmillError:
    match status:
        case HTTPStatus.NOT_FOUND:
            return _Missing(f"cannot {what}: {said or 'not found'}")
        case HTTPStatus.CONFLICT:
            return Conflict(f"cannot {what}: it changed meanwhile")
        case HTTPStatus.GONE:
            return WatchExpired(f"cannot {what}: what it goes on from is too old")
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return Forbidden(f"cannot {what}: {said or 'the API server refuses us'}; see the roles of certmill's chart")
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNPROCESSABLE_ENTITY:
            return InvalidManifest(f"cannot {what}: {said}")
        case _:
            return HomeUnavailable(f"cannot {what}: the API server answers {status}", retry_after=_retry_after(headers))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "")
    return min(float(value), _MAX_RETRY_AFTER) if value.isdecimal() else None


def _named(resource: Resource, namespace: str, name: str) -> str:
    return f"{resource.kind} {namespace}/{name}" if namespace else f"{resource.kind} {name}"


def _parsed(content: bytes, what: str) -> JsonObject:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise HomeUnavailable(f"cannot {what}: the API server's answer is no JSON") from None
    if not isinstance(body, dict):
        raise HomeUnavailable(f"cannot {what}: the API server's answer is no object")
    return body


def _read(response: urllib3.BaseHTTPResponse) -> bytes:
    content = response.read(MAX_ANSWER_BYTES + 1, decode_content=True)
    if len(content) > MAX_ANSWER_BYTES:
        raise HomeUnavailable(f"the API server's answer is larger than {MAX_ANSWER_BYTES} bytes")
    return content


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The events of a watch, a line each, as they come."""
    rest = b""
    while chunk := response.read1(_CHUNK_BYTES, decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_EVENT_BYTES:
            raise HomeUnavailable(f"an event of a watch is larger than {MAX_EVENT_BYTES} bytes")
        yield from (line for line in lines if line.strip())
