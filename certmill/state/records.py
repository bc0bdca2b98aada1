"""The record of a certificate's run, moved by two calls: claim (this step is mine for a while) and commit (if
nobody claimed it since).

A record is a hash `certmill:certificate:<id>`. Between runs only a few short fields stay. The fence grows
with every claim, and starts from the clock, so that a worker which comes back from the dead after its record
was lost or made anew cannot commit."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

import redis

from certmill.model.names import CertificateId
from certmill.model.trigger import Origin, Trigger
from certmill.state import keys
from certmill.state.record import Record
from certmill.state.server.connection import answering, script

_BATCH = 1000
_BUT_RENEWALS = tuple(name for name in keys.DUE_SETS if name != keys.RENEWALS)


class Unclaimed(StrEnum):
    """Why a step could not be claimed: this message is a duplicate, or late."""

    MOVED_ON = "moved-on"
    LEASED = "leased"


class Verdict(StrEnum):
    """What begin() did."""

    BEGUN = "begun"
    JOINED = "joined"
    AGAIN = "again"
    STALE = "stale"


class Due(StrEnum):
    """The set in which a certificate waits for what comes next."""

    IN_FLIGHT = keys.IN_FLIGHT
    WAITING = keys.WAITING
    ARRIVALS = keys.ARRIVALS
    RENEWALS = keys.RENEWALS


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeUp:
    """A chain to publish: the steps from `step` on. `task_id` (if any) is the waiting task's, so that Flower
    shows it going on, and `retries` is how often it has waited."""

    certificate: CertificateId
    step: str
    task_id: str = ""
    root_id: str = ""
    trigger: Trigger = Trigger.UNKNOWN
    run: int = 0
    retries: int = 0


class Records:
    """The records in Redis. Every method raises StateUnavailable when Redis is away."""

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
        as_of: str = "",
    ) -> tuple[Verdict, int]:
        """Begin a run at the first of `steps` (in flight, or with None among the arrivals), or join the one
        under way; one at the last is followed by another. `force`: a new certificate is asked for, and a run
        that waits waits no longer; one at another of `steps` than the first may have its certificate already,
        and is followed by another. With `as_of` (of `outlook`), only if no run has ended since: what was
        decided then may be wrong now. Returns the number of the run to wait for. Without a root the run's
        first task is its root."""
        first, *sent = steps
        own_root = str(uuid.uuid4())
        until = "" if in_flight_until is None else f"{in_flight_until:.3f}"
        who = [certificate, f"{now:.3f}", first, int(now * 1000), spec, origin.root_id, until]
        answer = self._begin(
            keys=[
                keys.record(certificate),
                keys.IN_FLIGHT,
                keys.WAITING,
                keys.ARRIVALS,
                keys.RENEWALS,
                keys.RUNS,
            ],
            args=[*who, "1" if force else "0", sent[-1], as_of, origin.trigger.value, own_root, *sent],
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
        """Take this step for `lease_seconds`, or say why not. The record that comes back holds our fence."""
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
        """Write fields in the middle of a step and renew its lease; False if the step is no longer ours."""
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
        """End a step: the record is at `step` now and waits in `due` until `at`; if its wait was ended while
        the step was acting, it waits no longer. False if the step is no longer ours."""
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
        """End the step that `record` was claimed for and claim the next one, `step`, for the same worker: its
        record, with the new fence. None if the step is no longer ours."""
        pairs = [part for item in fields.items() for part in item]
        lease = [f"{now:.3f}", f"{lease_seconds:.3f}", task_id, record.root_id]
        args = [certificate, record.fence, step, *lease, len(drop), *drop, *pairs]
        answer = cast("list[str]", self._advance(keys=[keys.record(certificate), keys.IN_FLIGHT], args=args))
        return _claimed(answer) if answer[0] != "0" else None

    @answering
    def adopt(self, certificate: CertificateId, *, now: float, at: float, spec: str, again: str = "") -> bool:
        """Keep an idle certificate, to be looked at again at `at`. False if a run is under way; or if one has
        ended since `again` was read (`outlook`), and another was asked for in it: then it is looked at again
        at once."""
        args = [certificate, f"{at:.3f}", spec, int(now * 1000), again]
        return self._adopt(keys=[keys.record(certificate), keys.RENEWALS, *_BUT_RENEWALS], args=args) == 1

    @answering
    def adopt_all(self, certificates: Sequence[tuple[CertificateId, float]], *, now: float) -> None:
        """Adopt many at once, each until its time; those with a run under way are left alone."""
        for start in range(0, len(certificates), _BATCH):
            with self._redis.pipeline(transaction=False) as pipe:
                for certificate, at in certificates[start : start + _BATCH]:
                    names = [keys.record(certificate), keys.RENEWALS, *_BUT_RENEWALS]
                    self._adopt(
                        keys=names, args=[certificate, f"{at:.3f}", "", int(now * 1000), ""], client=pipe
                    )
                pipe.execute()

    @answering
    def remembers(self) -> bool:
        """Whether Redis has kept its memory since `note_adopted`."""
        return bool(self._redis.exists(keys.ADOPTED))

    @answering
    def note_adopted(self) -> None:
        """The cluster has been gone through."""
        self._redis.set(keys.ADOPTED, "1")

    @answering
    def read(self, certificate: CertificateId) -> Record | None:
        """The record, or None."""
        fields = cast("dict[str, str]", self._redis.hgetall(keys.record(certificate)))
        return Record.from_fields(fields) if fields else None

    @answering
    def run_state(self, certificate: CertificateId) -> tuple[str, str]:
        """(as `again`, where things stand), to be asked before anything is decided. Redis' losing its memory
        is a change too."""
        again, run, step = cast(
            "list[str | None]", self._redis.hmget(keys.record(certificate), "again", "run", "step")
        )
        return again or "", "under way" if step else run or "0"

    @answering
    def again(self, certificate: CertificateId) -> str:
        """Why another run has to follow this one: "force", the digest of a changed manifest, or ""."""
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
        """What has to be published to ring these; those that are idle or unknown are left out."""
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
        """The Certificate is gone. A run under way has to look at its manifest again, at once if it waits,
        and another look follows it; False if there is none: then every trace is removed. What the metrics say
        of it goes in both cases."""
        others = [name for name in keys.DUE_SETS if name != keys.WAITING]
        names = [keys.record(certificate), keys.WAITING, keys.CERTIFICATE_GAUGES, *others, keys.RUNS]
        return self._forget(keys=names, args=[certificate, f"{now:.3f}", "deleted"]) == 1


def _claimed(answer: Sequence[str]) -> Record:
    """The record of a step that we have claimed: {fence, field, value, …}."""
    return Record.from_fields(dict(zip(answer[1::2], answer[2::2], strict=True)))
