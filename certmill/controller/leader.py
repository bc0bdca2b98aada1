"""Leader election by a Lease (coordination.k8s.io/v1): one controller publishes reconcile requests; the
others watch and wait.

Clocks of machines differ. So a Lease has expired when this process has not seen a renewal for its duration,
by its local clock. Only the first observation uses the renewTime in the Lease, so that a new controller does
not wait for one that died long ago."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from certmill.clock import Clock
from certmill.errors import Conflict, HomeUnavailable
from certmill.kube.client import KubeClient
from certmill.kube.objects import JsonObject, instant_of, mapping, meta_of, text
from certmill.kube.resources import LEASES

LEASE_SECONDS: Final = 15.0


class Leadership:
    """One candidate for a Lease. Two leaders for a moment do no harm: what they tell is a doorbell."""

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        name: str,
        identity: str,
        clock: Clock,
        seconds: float = LEASE_SECONDS,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._seconds = seconds
        self._held_until = 0.0
        self.answers = False
        """Whether the API server answered the last request."""
        self._seen = ""
        self._seen_at: float | None = None

    @property
    def renew_seconds(self) -> float:
        """How often to call `contend`."""
        return self._seconds / 3

    @property
    def leads(self) -> bool:
        """Whether this process holds the Lease now."""
        return self._held_until > self._clock.now()

    def contend(self) -> bool:
        """Acquire or renew the Lease; True if this process holds it. Raises Forbidden. Without an API server
        the Lease is lost when it expires."""
        now = self._clock.now()
        try:
            taken = self._contend(now)
        except Conflict:
            return self.leads
        except HomeUnavailable:
            self.answers = False
            return self.leads
        self.answers = True
        self._held_until = now + self._seconds if taken else 0.0
        return taken

    def give_up(self) -> None:
        """Release the Lease, so that another controller can start at once."""
        if not self.leads:
            return
        self._held_until = 0.0
        found = self._client.get(LEASES, self._namespace, self._name)
        if found is not None and self._holder(found) == self._identity:
            self._client.update(
                LEASES, {**found, "spec": {**mapping(found.get("spec")), "holderIdentity": ""}}
            )

    def _contend(self, now: float) -> bool:
        found = self._client.get(LEASES, self._namespace, self._name)
        if found is None:
            self._client.create(LEASES, self._lease({}, now))
            return True
        if self._holder(found) in ("", self._identity) or self._has_ended(found, now):
            return self._client.update(LEASES, self._lease(found, now)) is not None
        return False

    def _has_ended(self, lease: JsonObject, now: float) -> bool:
        version = meta_of(lease).resource_version
        if self._seen_at is None:
            self._seen, self._seen_at = (
                version,
                min(now, instant_of(mapping(lease.get("spec")).get("renewTime")) or 0.0),
            )
        elif version != self._seen:
            self._seen, self._seen_at = version, now
        self._seen_at = min(self._seen_at, now)  # the clock may have been set back
        return self._seen_at + self._seconds < now

    def _holder(self, lease: JsonObject) -> str:
        return text(mapping(lease.get("spec")).get("holderIdentity"))

    def _lease(self, before: JsonObject, now: float) -> JsonObject:
        spec = mapping(before.get("spec"))
        mine = spec.get("holderIdentity") == self._identity
        transitions = spec.get("leaseTransitions")
        changes = transitions if isinstance(transitions, int) else 0
        micro = _micro_time(now)
        return {
            **before,
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": before.get("metadata") or {"namespace": self._namespace, "name": self._name},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": math.ceil(self._seconds),
                "acquireTime": spec.get("acquireTime") if mine else micro,
                "renewTime": micro,
                "leaseTransitions": changes if mine or not before else changes + 1,
            },
        }


def _micro_time(instant: float) -> str:
    """The time as metav1.MicroTime."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
