"""Does the work of the periodic ticks: publish due wake-ups, begin renewals, read the home again, sweep what
a crash left. Idempotent: any number of ticks may run at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from certmill.certificates.reconcile import CHECK_AGAIN_SECONDS, Reconciler, reconcile_all
from certmill.errors import CertmillError, HomeUnavailable, InvalidManifest
from certmill.home.base import Problem, SnapshotEntry
from certmill.home.layout import digest
from certmill.home.secret_documents import survey_and_write
from certmill.issuers import registration_backoff
from certmill.issuers.reconcile import IssuerReconciler
from certmill.model.issuer import Issuer
from certmill.model.names import CertificateId
from certmill.model.object_ref import CERTIFICATE, ISSUER_KINDS, ObjectRef
from certmill.observe import certificates
from certmill.runs.ports import Ports
from certmill.state.due import LONGEST_WAIT_SECONDS
from certmill.state.records import Due
from certmill.state.run_state import WakeUp
from certmill.upkeep import sweep
from certmill.upkeep.ari_checks import AriChecks
from certmill.upkeep.planned_renewals import begin_planned

WAKE_LIMIT = 500
LOST_SECONDS = 600.0
RENEWALS_LIMIT = 500
REREAD_SECONDS = 20.0
"""The time for Certificates in one re-read. Issuers have their own time, so that neither uses up the
other's."""
ISSUERS_SECONDS = 15.0
REREAD_LOCK_SECONDS = 25.0
_BATCH = 100
_PROBLEM = "problem/"
"""The prefix for problems in the stored snapshot. No kind of object begins with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueWork:
    """The result of the tick that runs every second: the wake-ups to publish, and whether to re-read the home
    now."""

    wake_ups: list[WakeUp]
    reread: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reread:
    """The result of a re-read. `complete` is False if time ran out; the next re-read continues. `changed`:
    the number of changed objects. `problems`: those that no re-read has reported yet. `failed`: one line for
    each error."""

    changed: int
    problems: tuple[Problem, ...]
    failed: tuple[str, ...]
    complete: bool


@dataclass(slots=True, kw_only=True)
class _Pass:
    """The state of one re-read."""

    owner: str
    failed: list[str] = field(default_factory=list)
    complete: bool = True

    def cut_short(self) -> None:
        """Note that time ran out or the lease was lost; the next re-read continues."""
        self.complete = False


class Ticks:
    """Does the work of the ticks. One instance per process."""

    def __init__(self, ports: Ports, reconciler: Reconciler) -> None:
        self._ports = ports
        self._reconciler = reconciler
        self._issuer_reconciler = IssuerReconciler(ports, reconciler)

    @contextmanager
    def running(self, tick: str) -> Iterator[None]:
        """The context for all work of one tick: it records a success and logs a failure."""
        try:
            yield
            self._ports.fleet.note_tick(tick, now=self._ports.clock.now())
        except CertmillError as error:
            certificates.tick_failed(tick, reason=str(error))
            raise

    def wake(self) -> DueWork:
        """Collect the wake-ups to publish now. Raises OtherInstallation.

        Due wake-ups are always included. A run in flight whose chain may be lost is included only while the
        queue is short (in a long queue a message is late, not lost), or when nothing was heard of it for
        LOST_SECONDS (a worker was killed with its message). Arrivals are included while the queue is below
        high water."""
        ports, limits = self._ports, self._ports.limits
        if ports.installation is not None:
            ports.installation.require()
        now = ports.clock.now()
        suspect = now + limits.grace
        self._correct_times_ahead(now)
        backlog = ports.due.backlog(now=now)

        def take(due: Due, before: float, limit: int) -> list[CertificateId]:
            if not backlog.due[due] or limit <= 0:  # an idle installation makes no more requests
                return []
            return ports.due.take(due, now=before, suspect_after=suspect, limit=limit)

        ids = take(Due.WAITING, now, WAKE_LIMIT)
        queue = backlog.queue + len(ids)
        silent = 0.0 if queue < limits.short_queue else LOST_SECONDS
        ids += take(Due.IN_FLIGHT, now - silent, WAKE_LIMIT)
        ids += take(Due.ARRIVALS, now, min(WAKE_LIMIT, limits.high_water - queue))
        return DueWork(wake_ups=ports.records.wake_ups(ids), reread=ports.snapshots.take_reread_request())

    def _correct_times_ahead(self, now: float) -> None:
        """Correct times that were written while a clock was ahead: those entries are due now."""
        due, limits = self._ports.due, self._ports.limits
        due.observe_clock(now=now, limit=WAKE_LIMIT)
        soon = now + 2 * max(limits.lease, limits.grace)  # nothing in flight is scheduled further ahead
        latest = {
            Due.WAITING: (now + LONGEST_WAIT_SECONDS, now),
            Due.IN_FLIGHT: (soon, now - LOST_SECONDS),
            Due.ARRIVALS: (soon, now - LOST_SECONDS),
        }
        due.set_back(latest, limit=WAKE_LIMIT)

    def renew(self) -> int:
        """Reconcile the Certificates that are due (for renewal, or for the next attempt), and begin the
        renewals that a person has planned. Returns their number."""
        now = self._ports.clock.now()
        due = self._ports.due.renewals(now=now, limit=RENEWALS_LIMIT)
        failed = reconcile_all(self._reconciler, dict.fromkeys(due, False))
        self._ports.due.postpone(list(failed), at=now + CHECK_AGAIN_SECONDS)
        self._ports.fleet.drop_ended()
        return len(due) + begin_planned(self._ports, self._reconciler)

    def check_ari(self) -> int:
        """Ask the CAs for the renewal information that is due, until time runs out. Returns the number of
        requests."""
        return AriChecks(ports=self._ports, reconciler=self._reconciler).run()

    def reread(self, owner: str) -> Reread:
        """Reconcile what changed in the home since the last re-read: Certificates first, then issuers, until
        time runs out."""
        ports = self._ports
        if ports.home.watched or not self._renew_lease(owner):
            return Reread(changed=0, problems=(), failed=(), complete=False)
        try:
            survey = survey_and_write(ports.home)
            known = ports.snapshots.all()
            changed = [s for s in survey.snapshots if known.get(_field(s.ref)) != s.signature]
            recorded = {_ref_of(name) for name in known if not name.startswith(_PROBLEM)}
            pass_ = _Pass(owner=owner)
            self._certificates(pass_, [s for s in changed if s.ref.kind == CERTIFICATE])
            self._forget_deleted(pass_, recorded - {s.ref for s in survey.snapshots})
            self._issuers(pass_, [s for s in changed if s.ref.kind in ISSUER_KINDS])
            problems = self._new_problems(survey.problems, known)
            return Reread(
                changed=len(changed), problems=problems, failed=tuple(pass_.failed), complete=pass_.complete
            )
        finally:
            ports.locks.release("reread", owner=owner)

    def _new_problems(self, problems: Sequence[Problem], known: Mapping[str, str]) -> tuple[Problem, ...]:
        """The problems that no re-read has reported yet; they count as reported now. A problem that goes away
        and comes back is reported again."""
        found = {
            f"{_PROBLEM}{digest(f'{problem.source} {problem.message}')}": problem for problem in problems
        }
        new = {name: problem for name, problem in found.items() if name not in known}
        self._ports.snapshots.note(dict.fromkeys(new, ""))
        self._ports.snapshots.forget(
            [name for name in known if name.startswith(_PROBLEM) and name not in found]
        )
        return tuple(new.values())

    def sweep(self, owner: str) -> int:
        """Clean up the challenges that belong to no run, until time runs out. Returns their number."""
        return sweep.sweep(self._ports, owner)

    def _renew_lease(self, owner: str) -> bool:
        """Acquire the lease of the re-read, or renew it. Returns whether this worker has it. The lease is
        short, so that after a SIGKILL another worker can re-read soon."""
        return self._ports.locks.acquire("reread", owner=owner, seconds=REREAD_LOCK_SECONDS)

    def _may_continue(self, pass_: _Pass, ends: float) -> bool:
        """Whether time remains and the lease of the re-read could be renewed."""
        if self._ports.clock.now() > ends or not self._renew_lease(pass_.owner):
            pass_.cut_short()
        return pass_.complete

    def _certificates(self, pass_: _Pass, snapshots: list[SnapshotEntry]) -> None:
        ends = self._ports.clock.now() + REREAD_SECONDS
        for start in range(0, len(snapshots), _BATCH):
            if not self._may_continue(pass_, ends):
                return
            batch = {CertificateId(s.ref.path): s for s in snapshots[start : start + _BATCH]}
            errors = reconcile_all(self._reconciler, dict.fromkeys(batch, False))
            pass_.failed += [f"Certificate {id_}: {error}" for id_, error in errors.items()]
            self._ports.snapshots.note(
                {_field(s.ref): s.signature for id_, s in batch.items() if id_ not in errors}
            )

    def _forget_deleted(self, pass_: _Pass, gone: set[ObjectRef]) -> None:
        """Act on the objects that are no longer in the home. Objects of an unknown kind stay: a newer release
        has recorded them."""
        certificates = {CertificateId(ref.path): ref for ref in gone if ref.kind == CERTIFICATE}
        issuers = [ref for ref in gone if ref.kind in ISSUER_KINDS]
        errors = reconcile_all(self._reconciler, dict.fromkeys(certificates, False))
        pass_.failed += [f"Certificate {id_}: {error}" for id_, error in errors.items()]
        for issuer in issuers:
            self._ports.gauges.forget_issuer(issuer)
        done = [ref for id_, ref in certificates.items() if id_ not in errors] + issuers
        self._ports.snapshots.forget(sorted(map(_field, done)))

    def _issuers(self, pass_: _Pass, snapshots: Iterable[SnapshotEntry]) -> None:
        """Register accounts of changed issuers, those without a recent attempt first. An issuer in back-off
        is skipped, so a CA that is not available costs one time-out for each back-off."""
        now = self._ports.clock.now()
        complete, pass_.complete = pass_.complete, True
        waiting = []
        for snapshot in snapshots:
            try:
                issuer = self._ports.home.issuer(snapshot.ref)
                postponed = (
                    registration_backoff.postponed(self._ports, issuer) if issuer is not None else None
                )
            except (HomeUnavailable, InvalidManifest) as error:
                pass_.failed.append(f"{snapshot.ref}: {error}")
                continue
            until = postponed.until if postponed is not None else 0.0
            if issuer is not None and until <= now:
                waiting.append((until, snapshot, issuer))
        for _, snapshot, issuer in sorted(waiting, key=lambda each: each[0]):
            if not self._may_continue(pass_, now + ISSUERS_SECONDS):
                break
            self._issuer(pass_, snapshot, issuer, now + ISSUERS_SECONDS)
        pass_.complete = pass_.complete and complete

    def _issuer(self, pass_: _Pass, snapshot: SnapshotEntry, issuer: Issuer, ends: float) -> None:
        """Register one issuer's account, and begin again what failed because of the issuer. The snapshot is
        stored when all of this is done."""
        result = self._issuer_reconciler.reconcile(
            issuer, owner=f"reread {pass_.owner}", may_continue=lambda: self._may_continue(pass_, ends)
        )
        pass_.failed += result.failed
        if result.done:
            self._ports.snapshots.note({_field(snapshot.ref): snapshot.signature})


def _field(ref: ObjectRef) -> str:
    """The name under which Redis stores the signature of this object. Every release builds the same name."""
    return f"{ref.kind}/{ref.namespace}/{ref.name}"


def _ref_of(field: str) -> ObjectRef:
    """The object whose signature is stored under this name."""
    kind, namespace, name = (*field.split("/", 2), "", "")[:3]
    return ObjectRef(kind=kind, namespace=namespace, name=name)
