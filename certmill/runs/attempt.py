"""One claimed step: what its record said, what it has found out, and the calls by which it stays its worker's
until its commit.

Nothing is written but under the fence of the claim: who has lost the lease learns it here (LeaseLost), and
changes nothing any more."""

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
    """One claimed step: what the record said, and the newest facts."""

    ports: Ports
    certificate_id: CertificateId
    step: str
    record: Record
    facts: Facts = field(repr=False)
    renewed_at: float
    """By the monotonic clock."""
    certificate: Certificate | None = None
    unread: bool = False
    """Whether the record's facts cannot be read: until the run is given up they stay in the record as they
    are."""
    next_task: Callable[[], str] = str
    """The task id under which this worker continues with the next step at once; "": the next step is
    published."""

    @property
    def run_id(self) -> str:
        """Of this run alone, and the same in each of its steps: run numbers begin anew when Redis has lost
        its memory."""
        return f"{self.record.run}@{self.record.begun:.3f}"

    @property
    def run_seconds(self) -> float:
        """For how long the run has been under way."""
        return max(0.0, self.ports.clock.now() - self.record.begun) if self.record.begun else 0.0

    def keep(self, facts: Facts, sealed_key: str | None) -> None:
        """Keep facts in the middle of the step. Raises LeaseLost."""
        self._keep({"facts": facts.to_json()} | ({"key": sealed_key} if sealed_key is not None else {}))
        self.facts = facts
        if sealed_key is not None:
            self.record = replace(self.record, sealed_key=sealed_key)

    def renew(self) -> None:
        """Renew the lease. Raises LeaseLost."""
        self._keep({})

    def hold(self) -> None:
        """Renew the lease when a third of it has gone by. Raises LeaseLost."""
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
        """Tell people, once it is committed."""
        if self.certificate is not None:
            self.ports.events.record_event(self.certificate, reason, message, warning=warning)

    def note_wait(self, reason: str) -> None:
        """Show in the Certificate's status what its run waits for. Best effort, as an event is."""
        if self.certificate is None:
            return
        home = self.ports.home
        with suppress(CertmillError):
            home.write_certificate_status(
                self.certificate_id, conditions.waiting(home.certificate_status(self.certificate_id), reason)
            )

    def advance(self, *, step: str, task_id: str, fields: dict[str, str], drop: tuple[str, ...]) -> Record:
        """End the step and claim the next one, for the task of this id. Raises LeaseLost."""
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
        """End the step. Raises LeaseLost."""
        if step != self.step:
            fields = {**fields, "since": f"{self.ports.clock.now():.3f}"}
        if not self.ports.records.commit(
            self.certificate_id, fence=self.record.fence, step=step, due=due, at=at, fields=fields, drop=drop
        ):
            raise LeaseLost
