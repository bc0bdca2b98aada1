"""List and watch one resource, and keep a view of each object.

After an interruption the watch continues from the last resource version. Only after 410 Gone, for example
from a restarted API server, the objects are listed again. The official client's informer is not used: it does
not support custom resources, and keeps whole objects in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from certmill.controller.views import identity
from certmill.errors import CertmillError, Temporary, WatchExpired
from certmill.kube.answers import NotServed
from certmill.kube.client import KubeClient, WatchEvent
from certmill.kube.objects import meta_of
from certmill.kube.resources import Resource
from certmill.observe.log import get_logger

WATCH_SECONDS = 240
_SUSPECT_SECONDS = 5
"""The length of the first watch after the API server refused one temporarily (429, 503). While the server
starts the storage of a resource again, for example after a change of its CustomResourceDefinition, it may
accept a watch and send no events to it."""
_SILENT_SECONDS = 60.0
"""An API server sends a bookmark every minute. A longer watch without any is not trusted, and a list
follows."""
_PAUSES = (1.0, 2.0, 5.0, 10.0)
_SETTLED_SECONDS = 2.0
"""A watch that lasted this long counts as a success, even if there was no event."""
_ABSENT_PAUSE = 5.0
_QUIET_PAUSE = 1.0
_LIST_AFTER = 5
"""Consecutive failures after which the resource version is given up and the objects are listed again."""

log = get_logger(__name__)

ViewT = TypeVar("ViewT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Generic[ViewT]):
    """What to watch: `strip` makes the view; `changed` is called with (before, after), either None, in the
    order of the events."""

    resource: Resource
    strip: Callable[[Mapping[str, object]], ViewT]
    changed: Callable[[ViewT | None, ViewT | None], None]
    namespace: str = ""
    labels: str = ""
    metadata_only: bool = False
    optional: bool = False
    """The API may not have the resource (yet)."""


class Watch(Generic[ViewT]):
    """Watches until `stop` is set. `views` may be read by other threads."""

    def __init__(
        self,
        client: KubeClient,
        watched: Watched[ViewT],
        stop: threading.Event,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._monotonic = monotonic
        self._watched = watched
        self._stop = stop
        self._failures = 0
        self._failures_of_version = 0
        self._expired = False
        self._version = ""
        self._suspect = False
        self.views: dict[tuple[str, str], ViewT] = {}
        self.synced = threading.Event()

    @property
    def kind(self) -> str:
        """The kind of the watched objects."""
        return self._watched.resource.kind

    def run(self) -> None:
        """List, then watch, until `stop` is set."""
        while not self._stop.is_set():
            try:
                if self._version or self._list():
                    self._follow()
                    self._reset_failures()
            except WatchExpired as error:
                self._version = ""
                self._failed(
                    error, pauses=self._expired
                )  # without a pause the server would do nothing but lists
                self._expired = True
            except CertmillError as error:
                if isinstance(error, NotServed) or self._failures_of_version >= _LIST_AFTER:
                    self._version = ""
                self._failed(error, pauses=True)

    def _list(self) -> bool:
        """List all objects and update the views; False if the list failed."""
        watched = self._watched
        if watched.optional and not self._client.serves(watched.resource):
            self._drop(set(self.views))
            self.synced.set()
            self._stop.wait(_ABSENT_PAUSE)
            return False
        found: set[tuple[str, str]] = set()
        version = ""
        for page in self._client.pages(
            watched.resource, watched.namespace, labels=watched.labels, metadata_only=watched.metadata_only
        ):
            version = page.resource_version
            for item in page.items:
                found.add(identity(item))
                self._take(identity(item), watched.strip(item))
        self._drop(self.views.keys() - found)
        if not self.synced.is_set():
            log.info("watch.listed", resource=watched.resource.plural, objects=len(found))
        self.synced.set()
        self._version, self._failures_of_version, self._suspect = version, 0, False
        return True

    def _follow(self) -> None:
        """Run one watch until it ends. After a suspect watch, or one without events for too long, the
        objects are listed again."""
        before, began, suspect = self._version, self._monotonic(), self._suspect
        try:
            for event in self._events(before):
                self._version = meta_of(event.object).resource_version or self._version
                suspect = suspect and event.type == "BOOKMARK"
                self._event(event)
                self._reset_failures()
                if self._stop.is_set():
                    return
        finally:
            lasted = self._monotonic() - began
            if lasted > _SETTLED_SECONDS:
                self._reset_failures()
        self._suspect = False
        if suspect or (self._version == before and lasted > _SILENT_SECONDS):
            self._version = ""
        elif self._version == before:
            self._stop.wait(_QUIET_PAUSE)  # a server may end every watch at once

    def _events(self, version: str) -> Iterator[WatchEvent]:
        watched = self._watched
        return self._client.watch(
            watched.resource,
            watched.namespace,
            resource_version=version,
            seconds=_SUSPECT_SECONDS if self._suspect else WATCH_SECONDS,
            labels=watched.labels,
            metadata_only=watched.metadata_only,
        )

    def _reset_failures(self) -> None:
        self._failures, self._failures_of_version, self._expired = 0, 0, False

    def _failed(self, error: CertmillError, *, pauses: bool) -> None:
        """Wait with exponential back-off, and at least as long as the server's Retry-After."""
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)] if pauses else 0.0
        if isinstance(error, Temporary) and error.retry_after is not None:
            pause = max(pause, error.retry_after)
            self._suspect = bool(self._version)
        self._failures += 1
        self._failures_of_version += 1
        log.warning(
            "watch.failed", resource=self._watched.resource.plural, reason=str(error), again_in_seconds=pause
        )
        self._stop.wait(pause)

    def _event(self, event: WatchEvent) -> None:
        if event.type in ("ADDED", "MODIFIED"):
            self._take(identity(event.object), self._watched.strip(event.object))
        elif event.type == "DELETED":
            self._take(identity(event.object), None)

    def _drop(self, gone: Iterable[tuple[str, str]]) -> None:
        for key in gone:
            self._take(key, None)

    def _take(self, key: tuple[str, str], after: ViewT | None) -> None:
        before = self.views.get(key)
        if after is None:
            self.views.pop(key, None)
        else:
            self.views[key] = after
        if before != after:
            self._watched.changed(before, after)
