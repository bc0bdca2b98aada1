"""KubeClient: a method for each verb of the Kubernetes API. JSON in, JSON out, with limits for time and size;
errors are ours (`answers`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, cast

from kubernetes.client import ApiClient

from certmill.errors import CertmillError
from certmill.kube import answers
from certmill.kube.exchange import REQUEST_SECONDS, Exchange, Request
from certmill.kube.objects import JsonObject, mapping, meta_of, sequence, text
from certmill.kube.resources import Resource

FIELD_MANAGER: Final = "certmill"
PROBE_SECONDS: Final = 2.0
PAGE: Final = 500
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Limit for a page of a list. etcd stores objects of up to 1.5 MB, so a page can be larger; then a smaller
page is requested."""
MAX_EVENT_BYTES: Final = 8 * 1024 * 1024
_METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list at one resource version; a watch can start from it."""

    items: tuple[JsonObject, ...]
    resource_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent:
    """ADDED, MODIFIED, DELETED or BOOKMARK, and the object (of a BOOKMARK: its resourceVersion only)."""

    type: str
    object: JsonObject


class KubeClient:
    """Requests to one API server. Thread-safe.

    Every method raises HomeUnavailable if the server does not answer, is busy (429), fails (5xx) or is not
    ready; Forbidden if the request is not allowed; InvalidManifest if a name cannot be part of a path.
    Docstrings name the other errors."""

    def __init__(
        self,
        api: ApiClient,
        *,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        self._exchange = Exchange(api, max_answer_bytes=max_answer_bytes)
        self._max_event_bytes = max_event_bytes

    def answers(self) -> bool:
        """Whether the API server answers with a status below 500. For probes: it ends within seconds."""
        request = Request(
            method="GET", path="/readyz", what="ask the API server whether it is ready", accept="*/*"
        )
        try:
            response = self._exchange.send(request, seconds=PROBE_SECONDS)
            self._exchange.read(response, request.what)
        except CertmillError:
            return False
        return response.status < HTTPStatus.INTERNAL_SERVER_ERROR

    def get(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        """One object, or None."""
        return self._exchange.found(
            Request(
                method="GET",
                path=resource.path(namespace, name),
                what=f"read {_named(resource, namespace, name)}",
            )
        )

    def pages(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        metadata_only: bool = False,
        page: int = PAGE,
    ) -> Iterator[Listing]:
        """All objects (of a namespace), page by page, at one resource version. Raises WatchExpired if reading
        the pages took too long."""
        query = {"limit": str(page), "labelSelector": labels}
        accept = _METADATA_LIST if metadata_only else "application/json"
        while True:
            request = Request(
                method="GET",
                path=resource.path(namespace),
                query=query,
                accept=accept,
                what=f"list {resource.plural}",
            )
            try:
                answer = self._exchange.json(request)
            except answers.TooLarge:
                if page == 1:
                    raise
                page = max(1, page // 8)
                query = {**query, "limit": str(page)}
                continue
            about = mapping(answer.get("metadata"))
            items = tuple(cast("JsonObject", item) for item in sequence(answer.get("items")))
            yield Listing(items=items, resource_version=text(about.get("resourceVersion")))
            query = {**query, "continue": text(about.get("continue"))}
            if not query["continue"]:
                return

    def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        metadata_only: bool = False,
        page: int = PAGE,
    ) -> Listing:
        """All objects in one list. Not for hot paths: ten thousand objects take 100 MB."""
        pages = list(self.pages(resource, namespace, labels=labels, metadata_only=metadata_only, page=page))
        return Listing(
            items=tuple(item for one in pages for item in one.items),
            resource_version=pages[-1].resource_version,
        )

    def create(self, resource: Resource, body: Mapping[str, object]) -> JsonObject:
        """Create an object. Raises Conflict if the name exists, InvalidManifest if the server refuses the
        object, NotFound without its namespace, Forbidden if the namespace is being deleted."""
        meta = meta_of(body)
        resource.path(meta.namespace, meta.name)  # raises if the name is not valid
        what = f"create {_named(resource, meta.namespace, meta.name)}"
        query = {"fieldManager": FIELD_MANAGER}
        return self._exchange.json(
            Request(method="POST", path=resource.path(meta.namespace), query=query, body=body, what=what)
        )

    def update(
        self, resource: Resource, body: Mapping[str, object], *, subresource: str = ""
    ) -> JsonObject | None:
        """Replace an object (or its `status`); None if it is gone. Raises Conflict if it changed since,
        InvalidManifest."""
        meta = meta_of(body)
        path = resource.path(meta.namespace, meta.name, subresource)
        what = f"write {_named(resource, meta.namespace, meta.name)}"
        return self._exchange.found(
            Request(method="PUT", path=path, query={"fieldManager": FIELD_MANAGER}, body=body, what=what)
        )

    def merge(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Mapping[str, object],
        *,
        subresource: str = "",
    ) -> JsonObject | None:
        """A JSON merge patch (RFC 7386); None if the object is gone. Raises Conflict if the patch names
        another resourceVersion, InvalidManifest."""
        path = resource.path(namespace, name, subresource)
        what = f"change {_named(resource, namespace, name)}"
        query = {"fieldManager": FIELD_MANAGER}
        return self._exchange.found(
            Request(
                method="PATCH",
                path=path,
                query=query,
                body=patch,
                content_type="application/merge-patch+json",
                what=what,
            )
        )

    def apply(
        self,
        resource: Resource,
        body: Mapping[str, object],
        *,
        manager: str = FIELD_MANAGER,
        force: bool = True,
    ) -> JsonObject:
        """Server-side apply by this field manager. With `force` it becomes the owner of all fields in `body`;
        fields that it owned and that `body` no longer has are removed.

        Raises InvalidManifest, NotFound without its namespace, and Conflict: if the uid or resourceVersion in
        `body` differs, or, without `force`, if another manager owns a field with another value."""
        meta = meta_of(body)
        path = resource.path(meta.namespace, meta.name)
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        what = f"apply {_named(resource, meta.namespace, meta.name)}"
        return self._exchange.json(
            Request(
                method="PATCH",
                path=path,
                query=query,
                body=body,
                content_type="application/apply-patch+yaml",
                what=what,
            )
        )

    def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> bool:
        """Delete an object; False if it does not exist. With `uid`: raises Conflict if the object has another
        uid."""
        options: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        what = f"delete {_named(resource, namespace, name)}"
        return (
            self._exchange.found(
                Request(method="DELETE", path=resource.path(namespace, name), body=options, what=what)
            )
            is not None
        )

    def serves(self, resource: Resource) -> bool:
        """Whether the API serves this resource. A CustomResourceDefinition may be missing, or be created
        later."""
        request = Request(
            method="GET",
            path=f"/apis/{resource.group}/{resource.version}",
            what=f"discover {resource.plural}",
        )
        try:
            group = self._exchange.found(request) or {}
        except answers.NotServed:
            return False
        return any(
            mapping(found).get("name") == resource.plural for found in sequence(group.get("resources"))
        )

    def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        seconds: int,
        labels: str = "",
        metadata_only: bool = False,
    ) -> Iterator[WatchEvent]:
        """The events after `resource_version`, for at most `seconds`. Also raises WatchExpired (410), after
        which the caller must list again."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
            "labelSelector": labels,
        }
        what, accept = f"watch {resource.plural}", _METADATA if metadata_only else "application/json"
        request = Request(method="GET", path=resource.path(namespace), query=query, accept=accept, what=what)
        response = self._exchange.send(request, seconds=seconds + REQUEST_SECONDS)
        try:
            if response.status != HTTPStatus.OK:
                content = self._exchange.read(response, what)
                raise answers.error_of(response.status, answers.status_of(content), response.headers, what)
            for line in answers.lines(response, what, limit=self._max_event_bytes):
                yield _event(line, what)
        finally:
            response.close()


def _event(line: bytes, what: str) -> WatchEvent:
    event = answers.parsed(line, what)
    body = cast("JsonObject", mapping(event.get("object")))
    if event.get("type") == "ERROR":
        code = body.get("code")
        raise answers.error_of(
            code if isinstance(code, int) else HTTPStatus.INTERNAL_SERVER_ERROR, body, {}, what
        )
    return WatchEvent(type=text(event.get("type")), object=body)


def _named(resource: Resource, namespace: str, name: str) -> str:
    return f"{resource.kind} {namespace}/{name}" if namespace else f"{resource.kind} {name}"
