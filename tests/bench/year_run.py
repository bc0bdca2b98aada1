"""A year of a fleet in some minutes: the clock is set, Redis and Boulder's limiter are real, and so are the
decisions (renewal), the budgets (budgets, state.buckets) and the index (`renewals` by state.due).

Simulated are the steps between an order and its certificate, and the CA's outages. The tries of a run that
meet a CA that does not answer are added up, because only the first one after the outage has a result. A run
that waits is in the same index as the renewals. Incidents and mix: tests.bench.fleet."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

import redis

from certmill.budgets.buckets import SAME_SET_SECONDS, Account, Purchase
from certmill.budgets.profiles import LETS_ENCRYPT
from certmill.budgets.refusals import named_in
from certmill.budgets.registered_domain import registered_domain
from certmill.errors import CAUnavailable, NameRefused, RateLimited
from certmill.renewal.decision import BackingOff, Issue
from certmill.renewal.next_check import after_back_off, of_pair
from certmill.renewal.risk import Risk, RiskLevel
from certmill.runs.backoff import Validity, next_attempt, run_delay, step_delay
from certmill.state.buckets import Buckets, Caller, Empty
from certmill.state.due import DueTimes
from certmill.state.records import Records
from certmill.testing.clock import FakeClock
from certmill.upkeep.ticks import RENEWALS_LIMIT
from compose.servers.boulder_limits import BoulderLimits, CaRequest, Event, Limited
from tests.bench import fleet
from tests.bench.batch import Batch
from tests.bench.fleet import DAY, OUTAGES, REVOCATION, START, Member
from tests.bench.memory import Memory

_TICK: Final = 60.0
_IDLE_TICK: Final = 600.0
"""Seconds between two ticks while the last one has begun all that was due."""
_ORDER_AFTER: Final = 5.0
_ISSUED_AFTER: Final = 45.0
_INCIDENT_ECHO: Final = DAY

_NO_RISK = Risk(level=RiskLevel.NONE)
"""The simulation writes no status, so no check is needed to show a level of risk."""


@dataclass(kw_only=True)
class Counts:
    """What has happened. `issued`: certificates by day of the year."""

    issued: Counter[int] = field(default_factory=Counter)
    limited: Counter[str] = field(default_factory=Counter)
    waits: int = 0
    failures: int = 0
    replaced_at: float = REVOCATION


class Year:
    """The fleet, its Redis and its CA."""

    def __init__(
        self,
        client: redis.Redis,
        boulder: BoulderLimits,
        made: Sequence[tuple[float, Member]],
        *,
        spec: str,
        account: Account,
        chance: random.Random,
    ) -> None:
        self.chance = chance
        self.counts = Counts()
        self.clock = FakeClock(START)
        self.account = account
        self._spec = spec
        self._boulder = boulder
        self._due = DueTimes(client)
        self._scripts = Batch(client, ["0"])
        self._buckets = Buckets(cast("redis.Redis", self._scripts))
        self._adoptions = Batch(client, "adopted")
        self._records = Records(cast("redis.Redis", self._adoptions))
        self.members = {member.certificate.id: member for _, member in made}
        boulder.ask(
            CaRequest(at=member.issued, event=Event.KNOWN, names=member.certificate.dns_names)
            for member in self.members.values()
            if member.issued is not None
        )
        self._schedule([(m, at if m.leaf is None else m.observation.renewal.check_at) for at, m in made])

    def run(self, until: float, memory: Memory) -> None:
        """Tick until then."""
        revoked = False
        while (now := self.clock.now()) < until:
            if not revoked and now >= REVOCATION:
                revoked = True
                self._revoke(now)
            memory.tick(now)
            ids = self._due.renewals(now=now, limit=RENEWALS_LIMIT)
            if ids:
                self._tick([self.members[id_] for id_ in ids], now)
            pause = _TICK if len(ids) == RENEWALS_LIMIT else _IDLE_TICK
            self.clock.advance(now + pause - self.clock.now())

    def expired(self) -> Counter[str]:
        """By profile, how many certificates have ever expired, of the names that are alive."""
        now = self.clock.now()
        for member in self.members.values():
            member.expired |= member.leaf is not None and member.leaf.not_after < now < member.dies
        return Counter(member.profile for member in self.members.values() if member.expired)

    def _schedule(self, times: Sequence[tuple[Member, float]]) -> None:
        now = self.clock.now()
        self._adoptions.all(
            [
                partial(self._records.adopt, member.certificate.id, now=now, at=at, spec=self._spec)
                for member, at in times
            ]
        )

    def _revoke(self, now: float) -> None:
        """A part of the certificates is revoked, and a new one is asked for each."""
        living = [m for m in self.members.values() if m.leaf is not None and m.dies > now]
        revoked = self.chance.sample(living, int(len(living) * fleet.REVOKED_SHARE))
        for member in revoked:
            member.asked = True
        self._schedule([(member, now) for member in revoked])

    def _tick(self, members: list[Member], now: float) -> None:
        times, running = [], []
        for member in members:
            decision = member.decide(now) if not member.run_since else None
            if decision is None or isinstance(decision, Issue):
                member.run_since = member.run_since or now
                running.append(member)
            elif isinstance(decision, BackingOff):
                times.append((member, after_back_off(decision, member.leaf, _NO_RISK, now)))
            else:
                times.append((member, of_pair(decision.renewal, _NO_RISK)))
        self._schedule(times + self._orders(running, now))

    def _orders(self, members: list[Member], now: float) -> list[tuple[Member, float]]:
        """Take tokens and create the orders; returns when each member is checked again."""
        purchases = [self._purchase(member, now) for member in members]
        answers = self._scripts.all(
            [
                partial(self._buckets.take, purchase, _caller(m), receipt=_receipt("order", m), now=now)
                for m, purchase in zip(members, purchases, strict=True)
            ]
        )
        times, ready = [], []
        for member, purchase, answer in zip(members, purchases, answers, strict=True):
            if isinstance(answer, Empty):
                self.counts.waits += 1
                times.append((member, now + answer.seconds))
            elif (ends := _outage(now)) is not None:
                times.append((member, self._first_try_after(ends, now)))
            else:
                ready.append((member, purchase))
        self.clock.advance(_ORDER_AFTER)
        said = self._ask((Event.ORDER,), [member for member, _ in ready])
        granted = []
        for (member, purchase), limited in zip(ready, said, strict=True):
            if limited is None:
                granted.append(member)
            else:
                times.append((member, self._refused(member, purchase, limited)))
        return (
            times
            + self._fail([m for m in granted if m.dies <= now])
            + self._issue([m for m in granted if m.dies > now])
        )

    def _purchase(self, member: Member, now: float) -> Purchase:
        return self.account.new_order(member.certificate.identifiers, same_set=_same_set(member, now))

    def _first_try_after(self, ends: float, at: float) -> float:
        tries = 0
        while at < ends:
            tries += 1
            at += step_delay(CAUnavailable("does not answer"), tries, self.chance.random())
        return at

    def _refused(self, member: Member, purchase: Purchase, limited: Limited) -> float:
        """The CA has answered 429: the bucket that it names is empty."""
        now = self.clock.now()
        named = named_in(limited.text, purchase.checked)
        self.counts.limited[named.name if named is not None else limited.text] += 1
        changes = [partial(self._buckets.refund, purchase.spent, receipt=_receipt("order", member), now=now)]
        if named is not None:
            changes.append(partial(self._buckets.empty, named, seconds=limited.retry_after, now=now))
        self._scripts.all(changes)
        error = RateLimited(limited.text, retry_after=limited.retry_after or None)
        return now + step_delay(error, 1, self.chance.random())

    def _fail(self, members: list[Member]) -> list[tuple[Member, float]]:
        """Their names are not validated."""
        now = self.clock.now()
        self._ask((Event.FAIL,), members)
        self._scripts.all(
            [
                partial(
                    self._buckets.spend,
                    self.account.failed_authorizations(member.certificate.dns_names),
                    receipt=_receipt("failure", member),
                    now=now,
                )
                for member in members
            ]
        )
        self.counts.failures += len(members)
        for member in members:
            leaf = member.leaf
            validity = Validity(not_before=leaf.not_before, not_after=leaf.not_after) if leaf else None
            member.failures += 1
            delay = run_delay(NameRefused("no answer"), member.failures, self.chance.random())
            member.failed_at, member.run_since = now, 0.0
            member.next_attempt = next_attempt(delay, failed_at=now, validity=validity).at
        return [(member, cast("float", member.next_attempt)) for member in members]

    def _issue(self, members: list[Member]) -> list[tuple[Member, float]]:
        self.clock.advance(_ISSUED_AFTER)
        now = self.clock.now()
        changes = []
        for member in members:
            certificate = member.certificate
            spent = self.account.finalize(certificate.identifiers, same_set=_same_set(member, now))
            receipt = _receipt("certificate", member)
            full = self.account.consecutive_failures(certificate.dns_names)
            changes.append(partial(self._buckets.spend, spent, receipt=receipt, now=now))
            changes.append(partial(self._buckets.fill, full, now=now))
        self._scripts.all(changes)
        self._ask((Event.VALID, Event.ISSUE), members)
        for member in members:
            self.counts.issued[int((now - START) / DAY)] += 1
            if member.asked:
                self.counts.replaced_at = now
            member.expired |= member.leaf is not None and member.leaf.not_after < now
            member.store(now, f"{self.chance.getrandbits(128):x}")
        return [(member, member.observation.renewal.check_at) for member in members]

    def _ask(self, events: Sequence[Event], members: Sequence[Member]) -> list[Limited | None]:
        now = self.clock.now()
        return self._boulder.ask(
            CaRequest(at=now, event=event, names=member.certificate.dns_names)
            for member in members
            for event in events
        )


def account(*, limited: bool = True) -> Account:
    """The account of the fleet, with the limits of Let's Encrypt or without."""
    return Account(
        server="https://ca.example/dir",
        uri="https://ca.example/acct/1",
        limits=LETS_ENCRYPT if limited else {},
    )


def _same_set(member: Member, now: float) -> bool:
    return member.leaf is not None and now - member.leaf.not_before < SAME_SET_SECONDS - DAY


def _caller(member: Member) -> Caller:
    return Caller(
        id=member.certificate.id,
        rank=member.leaf.not_after if member.leaf is not None else None,
        group=registered_domain(member.certificate.identifiers[0]),
    )


def _receipt(purpose: str, member: Member) -> str:
    return f"{purpose} {member.certificate.id} {member.run_since:.3f}"


def _outage(now: float) -> float | None:
    """When the CA answers again; None if it answers now."""
    return next((ends for begins, ends in OUTAGES if begins <= now < ends), None)


def peak_to_mean(issued: Counter[int], days: int) -> float:
    """The most certificates of a day over the mean of all days. Not counted: days with an incident, and the
    one after."""
    incidents = [*OUTAGES, (REVOCATION, REVOCATION), (fleet.LAUNCH, fleet.LAUNCH)]
    quiet = [
        day
        for day in range(days)
        if not any(begins - DAY < START + day * DAY < ends + _INCIDENT_ECHO for begins, ends in incidents)
    ]
    return max(issued[day] for day in quiet) / (sum(issued[day] for day in quiet) / len(quiet))
