"""Leader election by a Lease (coordination.k8s.io/v1): of several controllers one tells the workers; the others watch and wait."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from certmill.clock import Clock
from certmill.errors import Conflict, HomeUnavailable
from certmill.kube.client import KubeClient
from certmill.kube.objects import JsonObject, instant_of, mapping, text
from certmill.kube.resources import LEASES

LEASE_SECONDS: Final = 15
RENEW_SECONDS: Final = 5.0


class Leadership:
    """One candidate for a Lease. Two leaders for a moment do no harm: what they tell is a doorbell."""

    def __init__(self, client: KubeClient, *, namespace: str, name: str, identity: str, clock: Clock) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._held_until = 0.0

    @property
    def leads(self) -> bool:
        """Whether the Lease is ours now."""
        return self._held_until > self._clock.now()

    def contend(self) -> bool:
        """Take the Lease, or renew it; whether it is ours. Raises Forbidden; an API server that is away costs the Lease when it ends."""
        now = self._clock.now()
        try:
            found = self._client.get(LEASES, self._namespace, self._name)
            if found is None:
                self._client.create(LEASES, self._lease({}, now))
            elif self._is_free(found, now):
                self._client.update(LEASES, self._lease(found, now))
            else:
                return False
        except (Conflict, HomeUnavailable):
            return self.leads
        self._held_until = now + LEASE_SECONDS
        return True

    def give_up(self) -> None:
        """Let another one begin at once."""
        if self.leads and (found := self._client.get(LEASES, self._namespace, self._name)) is not None:
            self._held_until = 0.0
            self._client.update(LEASES, {**found, "spec": {**mapping(found.get("spec")), "holderIdentity": ""}})

    def _is_free(self, lease: JsonObject, now: float) -> bool:
        spec = mapping(lease.get("spec"))
        holder, renewed = text(spec.get("holderIdentity")), instant_of(spec.get("renewTime")) or 0.0
        return holder in ("", self._identity) or renewed + LEASE_SECONDS < now

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
                "leaseDurationSeconds": LEASE_SECONDS,
                "acquireTime": spec.get("acquireTime") if mine else micro,
                "renewTime": micro,
                "leaseTransitions": changes if mine or not before else changes + 1,
            },
        }


def _micro_time(instant: float) -> str:
    """The form of metav1.MicroTime."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
