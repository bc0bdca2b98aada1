"""The sweep: what a crash, or a clean-up that gave up, left in DNS and with the responder is taken down.

It ends in bounded time, whatever providers do: with an end of its own, and with one try for each issuer and
zone that is in trouble. The queue's visibility time-out is twice as long, so that no second copy of its
message comes while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from certmill.acme.challenges import DNS01, HTTP01
from certmill.errors import CertmillError, DamagedValue, NewerRelease, Temporary
from certmill.model.certificate import IssuerRef
from certmill.observe.log import get_logger
from certmill.runs.context import Ports
from certmill.runs.facts import ChallengeFacts, Facts
from certmill.state.journal import Noted, Presented
from certmill.state.record import Record
from certmill.steps import challenges, lost_orders

SWEEP_AFTER_SECONDS = 600.0
SWEEP_LIMIT = 500
SWEEP_SECONDS = 60.0
LOST_ORDERS_SECONDS = SWEEP_SECONDS / 2
"""Of these: a CA that does not answer leaves time for what is known to be up."""
SWEEP_LOCK_SECONDS = 45.0
"""Renewed before each value: longer than a provider takes for one, and after a SIGKILL the next hour's finds
it free."""
ORPHAN_SECONDS = 7 * 86_400.0
"""How long what is up waits for its issuer to come back."""

log = get_logger(__name__)

_Place = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sweep:
    """One sweep as it goes. `troubled`: the issuers and zones that failed in it and may be better later."""

    ports: Ports
    owner: str
    ends: float
    troubled: set[_Place] = field(default_factory=set)

    def goes_on(self) -> bool:
        """Whether there is time for more, and the sweep is still ours."""
        return self.ports.clock.now() <= self.ends and self.hold()

    def has_time_for_orders(self) -> bool:
        """Whether another lost order may be asked for."""
        return self.ports.clock.now() <= self.ends - SWEEP_SECONDS + LOST_ORDERS_SECONDS and self.goes_on()

    def hold(self) -> bool:
        """Take the sweep, or go on holding it."""
        return not self.ports.locks.take("sweep", owner=self.owner, seconds=SWEEP_LOCK_SECONDS)

    def take_down(self, entry: Presented) -> bool:
        """Take one down; False if it has to stay."""
        if _place(entry) in self.troubled:
            return False
        ports = self.ports
        facts = _facts(ports.records.read(entry.certificate))
        if facts is None or any((c.value or c.token) == entry.value for c in facts.challenges):
            return False
        try:
            if not entry.record_name:
                _take_down_http01(ports, entry, facts)
                return True
            issuer = ports.home.issuer(
                IssuerRef(name=entry.issuer_name, kind=entry.issuer_kind), entry.issuer_namespace
            )
            if issuer is None:
                return _given_up(ports, entry)
            ports.issuer_records.found(entry.issuer_kind, entry.issuer_namespace, entry.issuer_name)
            challenges.take_down(
                ports, entry.certificate, issuer, entry.labels, (_as_challenge(entry),), self.hold
            )
        except CertmillError as error:
            if isinstance(error, Temporary):
                self.troubled.add(_place(entry))
            log.warning(
                "sweep.postponed", record=entry.record_name, certificate=entry.certificate, reason=str(error)
            )
            return False
        return True


def sweep(ports: Ports, owner: str) -> int:
    """Take down what belongs to no run any more; how many. 0 if another sweep is under way.

    What cannot be taken down now makes room for the younger, and is tried again by a later sweep; so is what
    the time was too short for."""
    now = ports.clock.now()
    pass_ = _Sweep(ports=ports, owner=owner, ends=now + SWEEP_SECONDS)
    if not pass_.hold():
        return 0
    swept = 0
    try:
        lost_orders.to_journal(ports, pass_.has_time_for_orders, pass_.hold, at=now - SWEEP_AFTER_SECONDS)
        old = ports.journal.older_than(now - SWEEP_AFTER_SECONDS, SWEEP_LIMIT)
        _set_aside(ports, old)
        for entry in old.entries:
            if not pass_.goes_on():
                break
            if pass_.take_down(entry):
                ports.journal.remove([entry])
                swept += 1
            else:
                ports.journal.postpone([entry.field], now=ports.clock.now())
    finally:
        ports.locks.release("sweep", owner=owner)
    return swept


def _set_aside(ports: Ports, old: Noted) -> None:
    """What cannot be read stands in nobody's way: a newer release's is left to that, and a person is told of
    what nobody can read."""
    ports.journal.postpone(old.newer, now=ports.clock.now())
    for entry in old.damaged:
        certificate, record, value = (*entry.split(" "), "", "")[:3]
        reason = "its entry in the journal is damaged; if the TXT record is there, remove it by hand"
        log.warning("sweep.given_up", certificate=certificate, record=record, value=value, reason=reason)
    ports.journal.drop(old.damaged)


def _facts(record: Record | None) -> Facts | None:
    """What the certificate's run has found out; None where a newer release alone can tell."""
    try:
        return Facts.from_json(record.facts) if record is not None else Facts()
    except NewerRelease:
        return None
    except DamagedValue:  # its run is given up when a worker comes to it
        return Facts()


def _place(entry: Presented) -> _Place:
    """Where a failure says something of the next: an issuer's credentials at one zone. The responder ("") has
    no trouble of its own."""
    return (entry.issuer_kind, entry.issuer_namespace, entry.issuer_name, entry.zone)


def _take_down_http01(ports: Ports, entry: Presented, facts: Facts) -> None:
    ports.key_authorizations.remove(entry.value)
    # The run that goes on may have the same way open, for another order's token.
    if all((c.identifier, c.way) != (entry.identifier, entry.way) for c in facts.challenges):
        ports.routes.cleanup(entry.certificate, entry.identifier, entry.way)


def _given_up(ports: Ports, entry: Presented) -> bool:
    """Nobody has the credentials any more: whether that has lasted for so long that a person has to take it
    away."""
    gone = (entry.issuer_kind, entry.issuer_namespace, entry.issuer_name)
    now = ports.clock.now()
    since = ports.issuer_records.gone_since(*gone, now=now, kept_seconds=2 * ORPHAN_SECONDS)
    if now - since < ORPHAN_SECONDS:
        return False
    log.warning(
        "sweep.given_up",
        record=entry.record_name,
        value=entry.value,
        certificate=entry.certificate,
        reason=(
            f"{entry.issuer_kind} {entry.issuer_name} is gone, and its credentials with it; remove the TXT "
            "record by hand"
        ),
    )
    return True


def _as_challenge(entry: Presented) -> ChallengeFacts:
    """What take_down needs of a challenge."""
    dns = bool(entry.record_name)
    return ChallengeFacts(
        authorization="",
        url="",
        type=DNS01 if dns else HTTP01,
        token="" if dns else entry.value,
        identifier=entry.identifier.removeprefix("*."),
        wildcard=entry.identifier.startswith("*."),
        record_name=entry.record_name,
        zone=entry.zone,
        value=entry.value if dns else "",
    )
