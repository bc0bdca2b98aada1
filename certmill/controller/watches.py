"""The watches of one resource: one for the whole cluster, or one for each namespace that certmill is allowed
to read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from certmill.controller.watch import Watch, Watched
from certmill.kube.client import KubeClient

ViewT = TypeVar("ViewT")


class Watches(Generic[ViewT]):
    """As one Watch, in `namespaces` (none: all); what has no namespace is watched once."""

    def __init__(
        self, client: KubeClient, watched: Watched[ViewT], stop: threading.Event, namespaces: Sequence[str]
    ) -> None:
        self.kind = watched.resource.kind
        self._plural = watched.resource.plural
        scopes = tuple(dict.fromkeys(namespaces)) if watched.resource.namespaced and namespaces else ("",)
        self._watches = {scope: Watch(client, replace(watched, namespace=scope), stop) for scope in scopes}

    def runs(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """(name, function to run in a separate thread) of each watch."""
        yield from ((f"{self._plural} {scope}".strip(), watch.run) for scope, watch in self._watches.items())

    @property
    def synced(self) -> bool:
        """Whether everything has been listed once."""
        return all(watch.synced.is_set() for watch in self._watches.values())

    def covers(self, namespace: str) -> bool:
        """Whether objects of this namespace are watched."""
        return namespace in self._watches or "" in self._watches

    def view(self, namespace: str, name: str) -> ViewT | None:
        """The view of one object; None if it does not exist."""
        watch = self._watches.get(namespace) or self._watches.get("")
        return watch.views.get((namespace, name)) if watch is not None else None

    def keys(self) -> list[tuple[str, str]]:
        """(namespace, name) of all objects now."""
        return [key for watch in self._watches.values() for key in list(watch.views)]

    def views(self) -> list[ViewT]:
        """The current views of all objects."""
        return [view for watch in self._watches.values() for view in list(watch.views.values())]
