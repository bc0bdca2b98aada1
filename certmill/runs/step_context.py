"""What a step has: the ports, the record and the facts of its run, the manifests, and the calls that renew
its lease.

Each write uses the fence of the claim. If the worker has lost the lease, the write raises LeaseLost and
changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.names import CertificateId
from certmill.runs.facts import Facts
from certmill.runs.ports import Ports
from certmill.state.record import Record

FIRST_LOOKUP_SECONDS = 1.0
"""The time-out of a lookup in the first try of a step. It is short, so that names that do not answer give
the thread back quickly."""
LOOKUP_SECONDS = 5.0


class LeaseLost(Exception):
    """Another worker has claimed this step since. It makes the same requests again."""


@dataclass(slots=True, kw_only=True)
class StepContext:
    """One claimed step. The engine makes one for each claim."""

    ports: Ports
    uncached: Ports
    """The same ports, but `home` is the home without the read cache. What `ports.home` returns may be two
    seconds old."""
    certificate_id: CertificateId
    step: str
    record: Record
    """As it was at the claim. Its sealed key is the newest one."""
    facts: Facts = field(default_factory=Facts, repr=False)
    """The newest facts of the run: `checkpoint` replaces them."""
    lease_renewed_at: float
    """When the lease was last renewed; seconds of the monotonic clock."""
    store_temporary_pair: Callable[[Certificate], bool]
    """Stores a temporary pair if the Secret has no pair that a server could use. Returns whether it was
    stored (certificates.reconcile)."""
    facts_are_readable: bool = True
    """False if this release cannot read the record's facts. `facts` is then empty, and the facts in the
    record stay unchanged until the run is given up."""
    found_certificate: Certificate | None = None
    found_issuer: Issuer | None = None
    """The manifests. The engine sets them before each step except the clean-up, which also runs when there
    are none."""

    @property
    def certificate(self) -> Certificate:
        """The Certificate, in each step except the clean-up."""
        assert self.found_certificate is not None
        return self.found_certificate

    @property
    def issuer(self) -> Issuer:
        """The Certificate's issuer, in each step except the clean-up."""
        assert self.found_issuer is not None
        return self.found_issuer

    @property
    def run_id(self) -> str:
        """A unique id of this run, the same in each of its steps. It includes the start time, because run
        numbers restart from the beginning when Redis loses its data."""
        return f"{self.record.run}@{self.record.begun:.3f}"

    @property
    def run_seconds(self) -> float:
        """Seconds since the run began; 0.0 if the start is unknown."""
        return self.since(self.record.begun or None)

    @property
    def is_first_try(self) -> bool:
        """Whether this step has not yet waited or failed."""
        return self.record.tries == 0

    def since(self, instant: float | None) -> float:
        """Seconds since an instant (seconds since the epoch). 0.0 if it is None or in the future."""
        return max(0.0, self.ports.clock.now() - instant) if instant is not None else 0.0

    def elapsed(self) -> float:
        """Seconds since the run came to this step."""
        return self.since(self.record.since)

    def checkpoint(self, facts: Facts, *, sealed_key: str | None = None) -> None:
        """Store facts, and the sealed private key if it is new, in the middle of the step, and renew the
        lease. Raises LeaseLost."""
        key = {"key": sealed_key} if sealed_key is not None else {}
        self._write({"facts": facts.to_json()} | key)
        self.facts = facts
        if sealed_key is not None:
            self.record = replace(self.record, sealed_key=sealed_key)

    def confirm_lease(self) -> None:
        """Renew the lease now. Call it before a write to the home that a worker without the lease must not
        make. Raises LeaseLost."""
        self._write({})

    def renew_lease(self) -> None:
        """Renew the lease if more than a third of it has passed. Call it before each request of a long step.
        Raises LeaseLost."""
        if self.ports.clock.monotonic() - self.lease_renewed_at > self.ports.limits.lease / 3:
            self.confirm_lease()

    def _write(self, fields: dict[str, str]) -> None:
        limits, now = self.ports.limits, self.ports.clock.now()
        if not self.ports.records.keep(
            self.certificate_id, fence=self.record.fence, now=now, lease_seconds=limits.lease, fields=fields
        ):
            raise LeaseLost
        self.lease_renewed_at = self.ports.clock.monotonic()

    @contextmanager
    def slow_lookup(self) -> Iterator[float]:
        """Yields the time-out (seconds) for a lookup at servers that may not answer. After the first try, the
        number of threads in these lookups is limited. Raises Busy."""
        if self.is_first_try:
            yield FIRST_LOOKUP_SECONDS
        else:
            with self.ports.slow_lookups.slow(self.certificate.namespace):
                yield LOOKUP_SECONDS
