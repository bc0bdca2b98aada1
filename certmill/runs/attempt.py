"""One claimed step: its record, its facts, and the calls that renew the lease and commit the step.

Each write uses the fence of the claim. If the worker has lost the lease, the write raises LeaseLost and
changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from certmill.certificates import conditions
from certmill.errors import CertmillError
from certmill.model.certificate import Certificate
from certmill.model.names import CertificateId
from certmill.runs.context import LeaseLost, Ports
from certmill.runs.facts import Facts
from certmill.state.record import Record
from certmill.state.records import Due


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One claimed step: the record as it was at the claim, and the newest facts."""

    ports: Ports
    certificate_id: CertificateId
    step: str
    record: Record
    facts: Facts = field(repr=False)
    renewed_at: float
    """When the lease was last renewed; seconds of the monotonic clock."""
    certificate: Certificate | None = None
    unread: bool = False
    """True if the record's facts cannot be read. They stay unchanged in the record until the run is given
    up."""
    next_task: Callable[[], str] = str
    """Returns the id of the task with which this worker starts the next step at once. "" means that the
    next step is published instead."""

    @property
    def run_id(self) -> str:
        """A unique id of this run, the same in each of its steps. It includes the start time, because run
        numbers restart from the beginning when Redis loses its data."""
        return f"{self.record.run}@{self.record.begun:.3f}"

    @property
    def run_seconds(self) -> float:
        """Seconds since the run began; 0.0 if the start is unknown."""
        return max(0.0, self.ports.clock.now() - self.record.begun) if self.record.begun else 0.0

    def keep(self, facts: Facts, sealed_key: str | None) -> None:
        """Store facts (a checkpoint) in the middle of the step. Raises LeaseLost."""
        self._keep({"facts": facts.to_json()} | ({"key": sealed_key} if sealed_key is not None else {}))
        self.facts = facts
        if sealed_key is not None:
            self.record = replace(self.record, sealed_key=sealed_key)

    def renew(self) -> None:
        """Renew the lease. Raises LeaseLost."""
        self._keep({})

    def hold(self) -> None:
        """Renew the lease if more than a third of it has passed. Raises LeaseLost."""
        if self.ports.clock.monotonic() - self.renewed_at > self.ports.limits.lease / 3:
            self.renew()

    def _keep(self, fields: dict[str, str]) -> None:
        limits, now = self.ports.limits, self.ports.clock.now()
        if not self.ports.records.keep(
            self.certificate_id, fence=self.record.fence, now=now, lease_seconds=limits.lease, fields=fields
        ):
            raise LeaseLost
        self.renewed_at = self.ports.clock.monotonic()

    def record_event(self, reason: str, message: str, *, warning: bool = False) -> None:
        """Record an event for the Certificate. Call it after the commit."""
        if self.certificate is not None:
            self.ports.events.record_event(self.certificate, reason, message, warning=warning)

    def note_wait(self, reason: str) -> None:
        """Show in the Certificate's status what the run waits for. Best effort: errors are ignored, as for
        events."""
        if self.certificate is None:
            return
        home = self.ports.home
        with suppress(CertmillError):
            home.write_certificate_status(
                self.certificate_id, conditions.waiting(home.certificate_status(self.certificate_id), reason)
            )

    def advance(self, *, step: str, task_id: str, fields: dict[str, str], drop: tuple[str, ...]) -> Record:
        """End the step and claim the next one for the task with this id. Raises LeaseLost."""
        now, limits = self.ports.clock.now(), self.ports.limits
        claimed = self.ports.records.advance(
            self.certificate_id,
            self.record,
            step=step,
            now=now,
            lease_seconds=limits.lease,
            task_id=task_id,
            fields={**fields, "since": f"{now:.3f}"},
            drop=drop,
        )
        if claimed is None:
            raise LeaseLost
        return claimed

    def commit(
        self, *, step: str, due: Due, at: float, fields: dict[str, str], drop: tuple[str, ...] = ()
    ) -> None:
        """End the step and write its result to the record. Raises LeaseLost."""
        if step != self.step:
            fields = {**fields, "since": f"{self.ports.clock.now():.3f}"}
        if not self.ports.records.commit(
            self.certificate_id, fence=self.record.fence, step=step, due=due, at=at, fields=fields, drop=drop
        ):
            raise LeaseLost
