"""The records of the runs of certificates in Redis. Two calls move a record: claim (take the step for a
limited time) and commit (write the result if no other worker has claimed the step since).

A record is a hash `certmill:certificate:<id>`. Between runs it has only a few short fields. The fence grows
with every claim and starts from the clock. A worker that was away for a long time therefore cannot commit
after its record was lost or created again."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import cast

import redis

from certmill.model.fallback import Fallback
from certmill.model.names import CertificateId
from certmill.model.trigger import Origin, Trigger
from certmill.state import keys
from certmill.state.record import Record
from certmill.state.run_state import Adoption, RunState, Verdict, WakeUp
from certmill.state.server.connection import answering, script

_BATCH = 1000
DELETION_SECONDS = 3600
"""How long a deletion is remembered: longer than any reconciliation takes."""
_BUT_RENEWALS = tuple(name for name in keys.DUE_SETS if name != keys.RENEWALS)


class Unclaimed(StrEnum):
    """Why a step could not be claimed. The message is a duplicate, or late."""

    MOVED_ON = "moved-on"
    LEASED = "leased"


class Due(StrEnum):
    """The set in which a certificate waits for its next action."""

    IN_FLIGHT = keys.IN_FLIGHT
    WAITING = keys.WAITING
    ARRIVALS = keys.ARRIVALS
    RENEWALS = keys.RENEWALS


class Records:
    """The records in Redis. Every method raises StateUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._begin = script(client, "begin")
        self._claim = script(client, "claim")
        self._keep = script(client, "keep")
        self._commit = script(client, "commit")
        self._advance = script(client, "advance")
        self._adopt = script(client, "adopt")
        self._forget = script(client, "forget")
        self._end_wait = script(client, "end_wait")

    @answering
    def begin(
        self,
        certificate: CertificateId,
        *,
        now: float,
        steps: tuple[str, ...],
        spec: str,
        origin: Origin,
        in_flight_until: float | None,
        force: bool = False,
        expected: RunState | None = None,
    ) -> tuple[Verdict, int]:
        """Begin a run at the first of `steps` (in flight until then, or with None among the arrivals), or
        join the run in progress. Returns the verdict and the number of the run to wait for. A run at the last
        of `steps` cannot be joined: the next run follows it. `force` requests a new certificate: a run stops
        waiting, and at another of `steps` than the first it may already have its certificate, so the next run
        follows it. `expected`: only if no run has ended and the Certificate was not deleted since this was
        read, because the decision may be outdated. Without a root id in `origin`, the first task of the run
        is its root."""
        first, *sent = steps
        own_root = str(uuid.uuid4())
        until = "" if in_flight_until is None else f"{in_flight_until:.3f}"
        who = [certificate, f"{now:.3f}", first, int(now * 1000), spec, origin.root_id, until]
        known = [expected.run, expected.deletions] if expected is not None else ["", ""]
        own = [keys.record(certificate), keys.deletions(certificate)]
        answer = self._begin(
            keys=[*own, *keys.DUE_SETS, keys.RUNS],
            args=[*who, "1" if force else "0", sent[-1], *known, origin.trigger.value, own_root, *sent],
        )
        verdict, run = cast("tuple[str, int]", answer)
        return Verdict(verdict), int(run)

    @answering
    def claim(
        self,
        certificate: CertificateId,
        step: str,
        *,
        now: float,
        lease_seconds: float,
        task_id: str,
        root_id: str,
    ) -> Record | Unclaimed:
        """Claim this step for `lease_seconds`, or return why not. The returned record has our fence."""
        answer = cast(
            "list[str]",
            self._claim(
                keys=[keys.record(certificate), keys.IN_FLIGHT, keys.WAITING, keys.ARRIVALS],
                args=[certificate, step, f"{now:.3f}", f"{lease_seconds:.3f}", task_id, root_id],
            ),
        )
        if answer[0] == "0":
            return Unclaimed.MOVED_ON
        if answer[0] == "-1":
            return Unclaimed.LEASED
        return _claimed(answer)

    @answering
    def keep(
        self,
        certificate: CertificateId,
        *,
        fence: int,
        now: float,
        lease_seconds: float,
        fields: Mapping[str, str],
    ) -> bool:
        """Write fields during a step and renew its lease. Returns False if the step is no longer ours."""
        pairs = [part for item in fields.items() for part in item]
        args = [certificate, fence, f"{now:.3f}", f"{lease_seconds:.3f}", *pairs]
        return self._keep(keys=[keys.record(certificate), keys.IN_FLIGHT], args=args) == 1

    @answering
    def commit(
        self,
        certificate: CertificateId,
        *,
        fence: int,
        step: str,
        due: Due,
        at: float,
        fields: Mapping[str, str],
        drop: Sequence[str] = (),
    ) -> bool:
        """End a step: the record moves to `step` and waits in `due` until `at` (seconds since the epoch). If
        the wait was ended while the step was acting, the record does not wait. Returns False if the step is
        no longer ours."""
        pairs = [part for item in fields.items() for part in item]
        others = [name for name in keys.DUE_SETS if name != due.value] + ([] if step else [keys.RUNS])
        waits = "1" if due is Due.WAITING else "0"
        args = [certificate, fence, step, f"{at:.3f}", waits, len(drop), *drop, *pairs]
        return self._commit(keys=[keys.record(certificate), due.value, *others], args=args) == 1

    @answering
    def advance(
        self,
        certificate: CertificateId,
        record: Record,
        *,
        step: str,
        now: float,
        lease_seconds: float,
        task_id: str,
        fields: Mapping[str, str],
        drop: Sequence[str] = (),
    ) -> Record | None:
        """End the step for which `record` was claimed, and claim the next one, `step`, for the same worker.
        Returns its record with the new fence, or None if the step is no longer ours."""
        pairs = [part for item in fields.items() for part in item]
        lease = [f"{now:.3f}", f"{lease_seconds:.3f}", task_id, record.root_id]
        args = [certificate, record.fence, step, *lease, len(drop), *drop, *pairs]
        answer = cast("list[str]", self._advance(keys=[keys.record(certificate), keys.IN_FLIGHT], args=args))
        return _claimed(answer) if answer[0] != "0" else None

    @answering
    def adopt(
        self,
        certificate: CertificateId,
        *,
        now: float,
        at: float,
        spec: str,
        expected: RunState | None = None,
    ) -> Adoption:
        """Store an idle certificate, to be checked again at `at` (seconds since the epoch). Stores nothing if
        a run is in progress, if one has ended since `expected` was read and the next run was requested in it
        (then the certificate is checked again at once), or if the Certificate was deleted since."""
        args = [certificate, f"{at:.3f}", spec, int(now * 1000)]
        args += [expected.rerun_reason, expected.deletions] if expected is not None else ["", ""]
        return Adoption(cast("str", self._adopt(keys=_adopted_keys(certificate), args=args)))

    @answering
    def adopt_all(self, certificates: Sequence[tuple[CertificateId, float]], *, now: float) -> None:
        """Adopt many certificates at once, each with its time. Those with a run in progress are not
        changed."""
        for start in range(0, len(certificates), _BATCH):
            with self._redis.pipeline(transaction=False) as pipe:
                for certificate, at in certificates[start : start + _BATCH]:
                    args = [certificate, f"{at:.3f}", "", int(now * 1000), "", ""]
                    self._adopt(keys=_adopted_keys(certificate), args=args, client=pipe)
                pipe.execute()

    @answering
    def has_adopted(self) -> bool:
        """Whether Redis has kept its memory since `note_adopted`."""
        return bool(self._redis.exists(keys.ADOPTED))

    @answering
    def note_adopted(self) -> None:
        """Record that the whole cluster was reconciled."""
        self._redis.set(keys.ADOPTED, "1")

    @answering
    def read(self, certificate: CertificateId) -> Record | None:
        """Return the record, or None."""
        fields = cast("dict[str, str]", self._redis.hgetall(keys.record(certificate)))
        return Record.from_fields(fields) if fields else None

    @answering
    def run_state(self, certificate: CertificateId) -> RunState:
        """Return the run state. Read it before a decision, and pass it to `begin` or `adopt`. It also changes
        when Redis loses its memory."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(keys.record(certificate), "again", "run", "step", "spec", "fallback")
            pipe.get(keys.deletions(certificate))
            (again, run, step, spec, noted), deletions = cast(
                "tuple[list[str | None], str | None]", pipe.execute()
            )
        fallback, last_run = Fallback.read(noted), int(run or 0)
        if fallback is not None and not fallback.applies(last_run=last_run, is_under_way=bool(step)):
            fallback = None
        return RunState(
            rerun_reason=again or "",
            run="under way" if step else run or "0",
            deletions=deletions or "0",
            spec=spec or "" if step else "",
            fallback=fallback,
        )

    @answering
    def again(self, certificate: CertificateId) -> str:
        """Return why the next run must follow: "force", the digest of a changed manifest, or ""."""
        return cast("str | None", self._redis.hget(keys.record(certificate), "again")) or ""

    @answering
    def end_wait(self, certificate: CertificateId, step: str, *, now: float) -> bool:
        """End the wait of a run that is at this step, or is about to wait there. False if there is none."""
        return (
            self._end_wait(
                keys=[keys.record(certificate), keys.WAITING], args=[certificate, f"{now:.3f}", step]
            )
            == 1
        )

    @answering
    def wake_ups(self, certificates: Sequence[CertificateId]) -> list[WakeUp]:
        """Return the chains to publish for these certificates. Idle and unknown certificates are left out."""
        if not certificates:
            return []
        with self._redis.pipeline(transaction=False) as pipe:
            for certificate in certificates:
                pipe.hmget(keys.record(certificate), "step", "task", "root", "trigger", "run", "tries")
            answers = cast("list[list[str | None]]", pipe.execute())
        return [
            WakeUp(
                certificate=certificate,
                step=step,
                task_id=task or "",
                root_id=root or "",
                trigger=Trigger.read(trigger),
                run=int(run or 0),
                retries=int(tries or 0),
            )
            for certificate, (step, task, root, trigger, run, tries) in zip(
                certificates, answers, strict=True
            )
            if step
        ]

    @answering
    def forget(self, certificate: CertificateId, *, now: float) -> bool:
        """Remove a Certificate that was deleted, and its gauges. A run in progress must read the manifest
        again, at once if it waits, and another reconcile follows it. Without a run every trace is removed,
        and this returns False."""
        others = [name for name in keys.DUE_SETS if name != keys.WAITING]
        own = [keys.record(certificate), keys.deletions(certificate)]
        names = [*own, keys.WAITING, keys.CERTIFICATE_GAUGES, *others, keys.RUNS]
        args = [certificate, f"{now:.3f}", "deleted", DELETION_SECONDS]
        return self._forget(keys=names, args=args) == 1


def _adopted_keys(certificate: CertificateId) -> list[str]:
    return [keys.record(certificate), keys.deletions(certificate), keys.RENEWALS, *_BUT_RENEWALS]


def _claimed(answer: Sequence[str]) -> Record:
    """The record of a step that we have claimed, from the script's answer {fence, field, value, …}."""
    return Record.from_fields(dict(zip(answer[1::2], answer[2::2], strict=True)))
