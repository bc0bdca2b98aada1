"""What the ticks do: ring what is due, begin what is to be renewed, re-read the home, sweep what a crash
left. Idempotent: any number may run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from certmill.certificates.reconcile import LOOK_AGAIN_SECONDS, Reconciler, reconcile_all
from certmill.errors import CertmillError, HomeUnavailable, InvalidManifest
from certmill.home.base import Problem, SnapshotEntry
from certmill.home.layout import digest
from certmill.issuers import registration_backoff
from certmill.issuers.reconcile import IssuerReconciler
from certmill.model.certificate import IssuerRef
from certmill.model.issuer import Issuer, reference
from certmill.model.names import CertificateId, certificate_id
from certmill.observe import certificates
from certmill.runs.context import Ports
from certmill.state.due import LONGEST_WAIT_SECONDS
from certmill.state.records import Due, WakeUp
from certmill.upkeep import sweep

WAKE_LIMIT = 500
LOST_SECONDS = 600.0
RENEWALS_LIMIT = 500
REREAD_SECONDS = 20.0
"""For certificates; the issuers have their own, so that neither waits for the other's time."""
ISSUERS_SECONDS = 15.0
REREAD_LOCK_SECONDS = 25.0
_BATCH = 100
_CERTIFICATE = "Certificate"
_PROBLEM = "problem/"
"""Begins the names of problems among what the re-reads have seen: no kind of object begins so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """What the every-second tick found: chains to publish, and whether the home is to be re-read now."""

    wake_ups: list[WakeUp]
    reread: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reread:
    """What a re-read did. `complete` is False if time ran out; the next one goes on. `problems`: those that
    no re-read has reported yet."""

    looked_at: int
    problems: tuple[Problem, ...]
    failed: tuple[str, ...]
    complete: bool


@dataclass(slots=True, kw_only=True)
class _Pass:
    """One re-read as it goes."""

    owner: str
    failed: list[str] = field(default_factory=list)
    complete: bool = True

    def cut_short(self) -> None:
        """Time ran out, or the lock was lost; the next re-read goes on."""
        self.complete = False


class Ticks:
    """The ticks' work. One per process."""

    def __init__(self, ports: Ports, reconciler: Reconciler) -> None:
        self._ports = ports
        self._reconciler = reconciler
        self._issuer_reconciler = IssuerReconciler(ports, reconciler)

    @contextmanager
    def running(self, tick: str) -> Iterator[None]:
        """Around all that is done for a tick: that it ended well is noted, and that it failed is logged."""
        try:
            yield
            self._ports.fleet.note_tick(tick, now=self._ports.clock.now())
        except CertmillError as error:
            certificates.tick_failed(tick, reason=str(error))
            raise

    def wake(self) -> Woken:
        """Wake-ups always; suspects only while the queue is short (in a backlog a doorbell is late, not lost)
        or when nothing was heard of them for very long (a worker took them with it when it was killed);
        arrivals below high water. Raises OtherInstallation."""
        ports, limits = self._ports, self._ports.limits
        if ports.installation is not None:
            ports.installation.require()
        now = ports.clock.now()
        suspect = now + limits.grace
        self._put_right(now)
        ids = ports.due.take(Due.WAITING, now=now, suspect_after=suspect, limit=WAKE_LIMIT)
        queue = ports.due.queue_length() + len(ids)
        silent = 0.0 if queue < limits.short_queue else LOST_SECONDS
        ids += ports.due.take(Due.IN_FLIGHT, now=now - silent, suspect_after=suspect, limit=WAKE_LIMIT)
        room = min(WAKE_LIMIT, limits.high_water - queue)
        if room > 0:
            ids += ports.due.take(Due.ARRIVALS, now=now, suspect_after=suspect, limit=room)
        return Woken(wake_ups=ports.records.wake_ups(ids), reread=ports.snapshots.take_reread_request())

    def _put_right(self, now: float) -> None:
        """What was noted under a clock that was ahead is due now."""
        due, limits = self._ports.due, self._ports.limits
        due.observe_clock(now=now, limit=WAKE_LIMIT)
        due.set_back(Due.WAITING, now=now, latest=now + LONGEST_WAIT_SECONDS, limit=WAKE_LIMIT)
        for each in (Due.IN_FLIGHT, Due.ARRIVALS):  # neither is ever noted for longer than a lease
            due.set_back(
                each,
                now=now - LOST_SECONDS,
                latest=now + 2 * max(limits.lease, limits.grace),
                limit=WAKE_LIMIT,
            )

    def renew(self) -> int:
        """Look at the certificates whose time has come (renewal, or the next attempt); how many."""
        now = self._ports.clock.now()
        due = self._ports.due.renewals(now=now, limit=RENEWALS_LIMIT)
        failed = reconcile_all(self._reconciler, dict.fromkeys(due, False))
        self._ports.due.postpone(list(failed), at=now + LOOK_AGAIN_SECONDS)
        self._ports.fleet.drop_ended()
        return len(due)

    def reread(self, owner: str) -> Reread:
        """Act on what changed in the home since the last re-read: certificates first, then issuers, as far as
        the time goes."""
        ports = self._ports
        if ports.home.watched or not self._hold(owner):
            return Reread(looked_at=0, problems=(), failed=(), complete=False)
        try:
            survey = ports.home.survey()
            known = ports.snapshots.all()
            changed = [s for s in survey.snapshots if known.get(_field(s)) != s.signature]
            pass_ = _Pass(owner=owner)
            self._certificates(pass_, [s for s in changed if s.kind == _CERTIFICATE])
            self._gone(
                pass_,
                {name for name in known if not name.startswith(_PROBLEM)}
                - {_field(s) for s in survey.snapshots},
            )
            self._issuers(pass_, [s for s in changed if s.kind != _CERTIFICATE])
            problems = self._new_problems(survey.problems, known)
            return Reread(
                looked_at=len(changed), problems=problems, failed=tuple(pass_.failed), complete=pass_.complete
            )
        finally:
            ports.locks.release("reread", owner=owner)

    def _new_problems(self, problems: Sequence[Problem], known: Mapping[str, str]) -> tuple[Problem, ...]:
        """Those that no re-read has reported yet; they are reported now. One that goes away and comes back is
        reported again."""
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
        """Take down what was put up for challenges and belongs to no run any more, as far as the time goes;
        how many."""
        return sweep.sweep(self._ports, owner)

    def _hold(self, owner: str) -> bool:
        """Whether the re-read is ours (still); after a SIGKILL another worker's begins soon."""
        return not self._ports.locks.take("reread", owner=owner, seconds=REREAD_LOCK_SECONDS)

    def _goes_on(self, pass_: _Pass, ends: float) -> bool:
        """Whether there is time for more, and the re-read is still ours."""
        if self._ports.clock.now() > ends or not self._hold(pass_.owner):
            pass_.cut_short()
        return pass_.complete

    def _certificates(self, pass_: _Pass, snapshots: list[SnapshotEntry]) -> None:
        ends = self._ports.clock.now() + REREAD_SECONDS
        for start in range(0, len(snapshots), _BATCH):
            if not self._goes_on(pass_, ends):
                return
            batch = {certificate_id(s.namespace, s.name): s for s in snapshots[start : start + _BATCH]}
            errors = reconcile_all(self._reconciler, dict.fromkeys(batch, False))
            pass_.failed += [f"Certificate {id_}: {error}" for id_, error in errors.items()]
            self._ports.snapshots.note(
                {_field(s): s.signature for id_, s in batch.items() if id_ not in errors}
            )

    def _gone(self, pass_: _Pass, fields: Iterable[str]) -> None:
        gone = set(fields)
        errors = reconcile_all(
            self._reconciler,
            {
                CertificateId(rest): False
                for kind, _, rest in (f.partition("/") for f in gone)
                if kind == _CERTIFICATE
            },
        )
        pass_.failed += [f"Certificate {id_}: {error}" for id_, error in errors.items()]
        for field_name in gone:
            if not field_name.startswith(f"{_CERTIFICATE}/"):
                self._ports.gauges.forget_issuer(reference(*field_name.split("/", 2)))
        self._ports.snapshots.forget(sorted(gone - {f"{_CERTIFICATE}/{id_}" for id_ in errors}))

    def _issuers(self, pass_: _Pass, snapshots: Iterable[SnapshotEntry]) -> None:
        """Register accounts, those that were not tried longest first; a CA that is away costs one time-out a
        back-off."""
        now = self._ports.clock.now()
        complete, pass_.complete = pass_.complete, True
        waiting = []
        for sighting in snapshots:
            try:
                issuer = self._ports.home.issuer(
                    IssuerRef(name=sighting.name, kind=sighting.kind), sighting.namespace
                )
                postponed = (
                    registration_backoff.postponed(self._ports, issuer) if issuer is not None else None
                )
            except (HomeUnavailable, InvalidManifest) as error:
                pass_.failed.append(f"{reference(sighting.kind, sighting.namespace, sighting.name)}: {error}")
                continue
            until = postponed.until if postponed is not None else 0.0
            if issuer is not None and until <= now:
                waiting.append((until, sighting, issuer))
        for _, sighting, issuer in sorted(waiting, key=lambda each: each[0]):
            if not self._goes_on(pass_, now + ISSUERS_SECONDS):
                break
            self._issuer(pass_, sighting, issuer, now + ISSUERS_SECONDS)
        pass_.complete = pass_.complete and complete

    def _issuer(self, pass_: _Pass, sighting: SnapshotEntry, issuer: Issuer, ends: float) -> None:
        """Register one, and begin again what failed under it; noted when all that is done."""
        looked = self._issuer_reconciler.reconcile(
            issuer, owner=f"reread {pass_.owner}", goes_on=lambda: self._goes_on(pass_, ends)
        )
        pass_.failed += looked.failed
        if looked.done:
            self._ports.snapshots.note({_field(sighting): sighting.signature})


def _field(sighting: SnapshotEntry) -> str:
    return f"{sighting.kind}/{sighting.namespace}/{sighting.name}"
