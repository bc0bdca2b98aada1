"""Events of Certificates and issuers in the Kubernetes API, as `kubectl describe` shows them. Best effort: an
event that cannot be written is logged. In a process they are written behind (`event_queue`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from certmill.clock import Clock
from certmill.errors import CertmillError, Conflict
from certmill.kube.client import KubeClient
from certmill.kube.objects import JsonObject, instant_of, meta_of, rfc3339
from certmill.kube.resources import CERTIFICATES, CLUSTER_ISSUERS, EVENTS, ISSUERS
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.object_ref import ObjectRef
from certmill.observe.log import get_logger

_MAX_MESSAGE: Final = 1024
"""The API's limit, in characters."""
_MAX_NAME: Final = 230

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Involved:
    """The object that an event is about. `namespace` is "" for a ClusterIssuer; its events are in the
    namespace default."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


def _at_once(write: Callable[[], None]) -> None:
    write()


class KubernetesEvents:
    """Records events. Events with the same object, reason and message are one Event, whose count increases.
    `put` gets the calls that write them, in order; by default each is called at once."""

    def __init__(
        self, client: KubeClient, clock: Clock, put: Callable[[Callable[[], None]], None] = _at_once
    ) -> None:
        self._client = client
        self._clock = clock
        self._put = put

    def record_event(
        self, certificate: Certificate, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Record an event of this Certificate."""
        involved = Involved(
            api_version=CERTIFICATES.api_version,
            kind=CERTIFICATES.kind,
            namespace=certificate.namespace,
            name=certificate.name,
            uid=certificate.uid,
        )
        self.record(involved, reason, message, warning=warning)

    def record_issuer_event(
        self, issuer: Issuer, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Record an event of this issuer."""
        resource = CLUSTER_ISSUERS if issuer.is_cluster_issuer else ISSUERS
        involved = Involved(
            api_version=resource.api_version,
            kind=resource.kind,
            namespace=issuer.namespace,
            name=issuer.name,
            uid=issuer.uid,
        )
        self.record(involved, reason, message, warning=warning)

    def record_refusal(self, ref: ObjectRef, reason: str, message: str) -> None:
        """Record that an object cannot be used as it is written. Only its identity is used; the rest of its
        content is not trusted."""
        resource = {one.kind: one for one in (CERTIFICATES, ISSUERS, CLUSTER_ISSUERS)}[ref.kind]
        try:
            body = self._client.get(resource, ref.namespace, ref.name)
        except CertmillError as error:
            _log_lost(f"{ref.kind} {ref.path}", reason, error)
            return
        if body is not None:
            involved = Involved(
                api_version=resource.api_version,
                kind=ref.kind,
                namespace=ref.namespace,
                name=ref.name,
                uid=meta_of(body).uid,
            )
            self.record(involved, reason, message, warning=True)

    def record(
        self,
        involved: Involved,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        again_after: timedelta = timedelta(0),
    ) -> None:
        """Record an event of this object, with the present time. An event that was recorded less than
        `again_after` ago is neither written again nor counted."""
        body = _event(involved, reason, message, warning=warning, now=self._clock.now())
        self._put(partial(self._write, involved, body, again_after))

    def _write(self, involved: Involved, body: JsonObject, again_after: timedelta) -> None:
        try:
            try:
                self._client.create(EVENTS, body)
            except Conflict:
                self._count(body, again_after)
        except CertmillError as error:
            _log_lost(f"{involved.kind} {involved.namespace}/{involved.name}", body["reason"], error)

    def _count(self, body: JsonObject, again_after: timedelta) -> None:
        metadata = body["metadata"]
        assert isinstance(metadata, dict)
        found = self._client.get(EVENTS, metadata["namespace"], metadata["name"])
        last = instant_of(found.get("lastTimestamp")) if found is not None else None
        if last is not None and self._clock.now() - last < again_after.total_seconds():
            return
        count = found.get("count") if found is not None else 0
        patch = {
            "count": (count if isinstance(count, int) else 0) + 1,
            "lastTimestamp": body["lastTimestamp"],
        }
        self._client.merge(EVENTS, metadata["namespace"], metadata["name"], patch)


def _log_lost(about: str, reason: object, error: CertmillError) -> None:
    """Log an event that is not written. The error says what to do."""
    log.warning("event.lost", object=about, event_reason=reason, error=str(error))


def _event(involved: Involved, reason: str, message: str, *, warning: bool, now: float) -> JsonObject:
    digest = hashlib.sha256(f"{involved.uid}\0{reason}\0{message}".encode()).hexdigest()[:16]
    instant = rfc3339(now)
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {
            "namespace": involved.namespace or "default",
            "name": f"{involved.name[:_MAX_NAME].rstrip('-.')}.{digest}",
        },
        "involvedObject": {
            "apiVersion": involved.api_version,
            "kind": involved.kind,
            "name": involved.name,
            "uid": involved.uid,
            **({"namespace": involved.namespace} if involved.namespace else {}),
        },
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": message[:_MAX_MESSAGE],
        "source": {"component": "certmill"},
        "reportingComponent": "certmill",
        "firstTimestamp": instant,
        "lastTimestamp": instant,
        "count": 1,
    }
