"""Reconcile an Ingress or a VirtualServer: read it, plan, write its Certificates, and record events on it.
Called by a small task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from certmill.controller import ingress, virtualserver
from certmill.controller.ingress import DefaultIssuer
from certmill.controller.observed import observed_of
from certmill.controller.shim import Desired, Event, Owner, Plan, Write, plan
from certmill.errors import Permanent
from certmill.home import layout
from certmill.home.kubernetes.events import Involved, KubernetesEvents
from certmill.kube.client import KubeClient
from certmill.kube.resources import CERTIFICATES, INGRESSES, VIRTUAL_SERVERS
from certmill.observe import recording

_MISTAKE_AGAIN: Final = timedelta(hours=1)
"""A mistake is recorded as an event when it is new, and then at most once in this time, however often the
object is reconciled."""


Reader = Callable[[Mapping[str, object]], Desired]
"""Reads an object into its desired Certificates."""


def readers(default_issuer: DefaultIssuer) -> Mapping[str, Reader]:
    """The reader of each kind that Certificates are made for."""
    return {
        INGRESSES.kind: lambda body: ingress.desired_by(body, default_issuer),
        VIRTUAL_SERVERS.kind: virtualserver.desired_by,
    }


class ShimReconciler:
    """Reconciles the Certificates of annotated objects. One per process. If two run at the same time, one
    gets a Conflict."""

    def __init__(self, client: KubeClient, events: KubernetesEvents, default_issuer: DefaultIssuer) -> None:
        self._client = client
        self._events = events
        self._readers = readers(default_issuer)

    @recording.synced("ingress-shim")
    def reconcile(self, kind: str, reference: str, left: Sequence[str] = ()) -> None:
        """Reconcile the object `namespace/name`. `left`: Certificates that may belong to it and are no longer
        desired. If the API refuses a write permanently, an event is recorded on the object. Raises
        Temporary."""
        namespace, _, name = reference.partition("/")
        resource = INGRESSES if kind == INGRESSES.kind else VIRTUAL_SERVERS
        body = self._client.get(resource, namespace, name)
        if body is None:
            return  # the garbage collector deletes its Certificates, because it is their owner
        desired = self._readers[kind](body)
        names = dict.fromkeys(
            [*(one.name for one in desired.desired), *(left if desired.secret_names is not None else ())]
        )
        found = (
            self._client.get(CERTIFICATES, namespace, name) for name in names if layout.is_name("", name)
        )
        self._execute(desired.owner, plan(desired, [observed_of(one) for one in found if one is not None]))

    def _execute(self, owner: Owner, planned: Plan) -> None:
        for event in planned.events:
            self._record_event(owner, event, again_after=_MISTAKE_AGAIN)
        for write in planned.create:
            self._write(owner, write, self._client.create)
        for write in planned.update:
            self._write(owner, write, self._client.update)
        for removal in planned.delete:
            if self._client.delete(CERTIFICATES, owner.namespace, removal.name, uid=removal.uid):
                self._record_event(owner, removal.done)

    def _write(self, owner: Owner, write: Write, send: Callable[..., object]) -> None:
        try:
            written = send(CERTIFICATES, write.document)
        except Permanent as error:
            self._record_event(owner, write.refused(owner, str(error)), again_after=_MISTAKE_AGAIN)
        else:
            if (
                written is not None
            ):  # None: it was deleted meanwhile; the reconciliation after the deletion creates it again
                self._record_event(owner, write.done)

    def _record_event(self, owner: Owner, event: Event, *, again_after: timedelta = timedelta(0)) -> None:
        involved = Involved(
            api_version=owner.api_version,
            kind=owner.kind,
            namespace=owner.namespace,
            name=owner.name,
            uid=owner.uid,
        )
        self._events.record(
            involved, event.reason, event.message, warning=event.type == "Warning", again_after=again_after
        )
