"""What the ticks do: ring what is due, begin what is to be renewed, re-read the home, sweep what a crash left. Idempotent: any number may
run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from certmill.errors import CertmillError, InvalidManifest, Temporary
from certmill.home.base import Problem, Sighting
from certmill.model.certificate import IssuerRef
from certmill.model.issuer import Issuer
from certmill.model.names import CertificateId, certificate_id
from certmill.pipeline import account, presenting, solvers
from certmill.pipeline.context import Ports
from certmill.pipeline.facts import ChallengeFacts, Facts
from certmill.pipeline.reconcile import LOOK_AGAIN_SECONDS, Reconciler, reconcile_all
from certmill.state.journal import Presented
from certmill.state.records import Doorbell, Due

WAKE_LIMIT = 500
RENEWALS_LIMIT = 500
REREAD_SECONDS = 20.0
SWEEP_AFTER_SECONDS = 600.0
SWEEP_LIMIT = 500
_CERTIFICATE = "Certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """What the every-second tick found: chains to publish, and whether the home is to be re-read now."""

    doorbells: list[Doorbell]
    reread: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reread:
    """What a re-read did. `complete` is False if time ran out; the next one goes on."""

    looked_at: int
    problems: tuple[Problem, ...]
    failed: tuple[str, ...]
    complete: bool


class Ticks:
    """The ticks' work. One per process."""

    def __init__(self, ports: Ports, reconciler: Reconciler) -> None:
        self._ports = ports
        self._reconciler = reconciler

    def wake(self) -> Woken:
        """Wake-ups always; suspects only while the queue is short (in a backlog a doorbell is late, not lost); arrivals below high
        water."""
        ports, limits = self._ports, self._ports.limits
        now = ports.clock.now()
        suspect = now + limits.grace
        ids = ports.due.take(Due.WAITING, now=now, suspect_after=suspect, limit=WAKE_LIMIT)
        queue = ports.due.queue_length() + len(ids)
        if queue < limits.short_queue:
            ids += ports.due.take(Due.IN_FLIGHT, now=now, suspect_after=suspect, limit=WAKE_LIMIT)
        room = min(WAKE_LIMIT, limits.high_water - queue)
        if room > 0:
            ids += ports.due.take(Due.ARRIVALS, now=now, suspect_after=suspect, limit=room)
        return Woken(doorbells=ports.records.doorbells(ids), reread=ports.sightings.reread_asked())

    def renew(self) -> int:
        """Look at the certificates whose time has come (renewal, or the next attempt); how many."""
        now = self._ports.clock.now()
        due = self._ports.due.renewals(now=now, limit=RENEWALS_LIMIT)
        failed = reconcile_all(self._reconciler, dict.fromkeys(due, False))
        self._ports.due.postpone(list(failed), at=now + LOOK_AGAIN_SECONDS)
        return len(due)

    def reread(self, owner: str) -> Reread:
        """Act on what changed in the home since the last re-read: issuers first, then certificates, as far as the time goes."""
        ports = self._ports
        if ports.locks.take("reread", owner=owner, seconds=REREAD_SECONDS * 3):
            return Reread(looked_at=0, problems=(), failed=(), complete=False)
        try:
            survey = ports.home.survey()
            known = ports.sightings.all()
            changed = [s for s in survey.sightings if known.get(_field(s)) != s.signature]
            issuers = [s for s in changed if s.kind != _CERTIFICATE]
            failed = self._issuers(issuers)
            complete, more = self._certificates([s for s in changed if s.kind == _CERTIFICATE])
            self._gone(known.keys() - {_field(s) for s in survey.sightings})
            return Reread(looked_at=len(changed), problems=survey.problems, failed=(*failed, *more), complete=complete)
        finally:
            ports.locks.release("reread", owner=owner)

    def sweep(self) -> int:
        """Take down what was put up for challenges and belongs to no run any more; how many."""
        swept = 0
        for entry in self._ports.journal.older_than(self._ports.clock.now() - SWEEP_AFTER_SECONDS, SWEEP_LIMIT):
            swept += self._sweep_one(entry)
        return swept

    def _issuers(self, sightings: Iterable[Sighting]) -> list[str]:
        """Register accounts, and begin again what failed under an issuer that has changed."""
        failed = []
        for sighting in sightings:
            try:
                issuer = self._ports.home.issuer(IssuerRef(name=sighting.name, kind=sighting.kind), sighting.namespace)
                if issuer is not None:
                    self._issuer(issuer)
            except (Temporary, InvalidManifest) as error:
                failed.append(str(error))
                continue
            except CertmillError as error:
                failed.append(str(error))
            self._ports.sightings.note({_field(sighting): sighting.signature})
        return failed

    def _issuer(self, issuer: Issuer) -> None:
        try:
            account.register(self._ports, issuer, owner="reread")
        finally:
            reconcile_all(self._reconciler, dict.fromkeys(self._ports.sightings.take_failing(issuer.reference), True))

    def _certificates(self, sightings: list[Sighting]) -> tuple[bool, list[str]]:
        ends = self._ports.clock.now() + REREAD_SECONDS
        failed: list[str] = []
        for start in range(0, len(sightings), 100):
            if self._ports.clock.now() > ends:
                return False, failed
            batch = {certificate_id(s.namespace, s.name): s for s in sightings[start : start + 100]}
            errors = reconcile_all(self._reconciler, dict.fromkeys(batch, False))
            failed += [str(error) for error in errors.values()]
            self._ports.sightings.note({_field(s): s.signature for id_, s in batch.items() if id_ not in errors})
        return True, failed

    def _gone(self, fields: Iterable[str]) -> None:
        gone = list(fields)
        for field in gone:
            kind, _, rest = field.partition("/")
            if kind == _CERTIFICATE:
                self._reconciler.reconcile(CertificateId(rest))
        self._ports.sightings.forget(gone)

    def _sweep_one(self, entry: Presented) -> int:
        ports = self._ports
        record = ports.records.read(entry.certificate)
        if record is not None and any((c.value or c.token) == entry.value for c in Facts.from_json(record.facts).challenges):
            return 0
        try:
            issuer = ports.home.issuer(IssuerRef(name=entry.issuer_name, kind=entry.issuer_kind), entry.issuer_namespace)
            if issuer is not None:
                presenting.take_down(ports, issuer, {}, (_as_challenge(entry),), owner=f"sweep {entry.field}")
        except CertmillError:
            return 0
        ports.journal.remove([entry])
        return 1


def _field(sighting: Sighting) -> str:
    return f"{sighting.kind}/{sighting.namespace}/{sighting.name}"


def _as_challenge(entry: Presented) -> ChallengeFacts:
    """What take_down needs of a challenge."""
    dns = bool(entry.record_name)
    return ChallengeFacts(
        authorization="",
        url="",
        type=solvers.DNS01 if dns else solvers.HTTP01,
        token="" if dns else entry.value,
        identifier=entry.identifier.removeprefix("*."),
        wildcard=entry.identifier.startswith("*."),
        record_name=entry.record_name,
        zone=entry.zone,
        value=entry.value if dns else "",
    )
