"""The sweep cleans up challenges that belong to no run: a crash, or a clean-up that failed too often, left
them in DNS or with the responder.

Its time is limited, however slowly the DNS providers answer: it stops after SWEEP_SECONDS, and after one
failed try it skips the other challenges of the same issuer and zone. The queue's visibility time-out is twice
as long, so the message is not delivered a second time while the sweep runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from certmill.acme.challenges import DNS01, HTTP01
from certmill.errors import CertmillError, DamagedValue, NewerRelease, Temporary
from certmill.model.object_ref import ObjectRef
from certmill.observe.log import get_logger
from certmill.runs.facts import ChallengeFacts, Facts
from certmill.runs.ports import Ports
from certmill.state.journal import OldEntries, Presented
from certmill.state.record import Record
from certmill.steps import challenges
from certmill.steps.orders import lost

SWEEP_AFTER_SECONDS = 600.0
SWEEP_LIMIT = 500
SWEEP_SECONDS = 60.0
LOST_ORDERS_SECONDS = SWEEP_SECONDS / 2
"""The part of SWEEP_SECONDS for lost orders: if a CA does not answer, time remains for the challenges that
are known."""
SWEEP_LOCK_SECONDS = 45.0
"""The lease is renewed before each challenge. It is longer than a provider takes for one challenge. After a
SIGKILL it has ended before the next sweep an hour later."""
ORPHAN_SECONDS = 7 * 86_400.0
"""How long a challenge whose issuer was deleted waits for the issuer to come back."""

log = get_logger(__name__)

_Place = tuple[ObjectRef, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sweep:
    """The state of one sweep. `ends`: seconds since the epoch. `troubled`: the issuers and zones that failed
    during this sweep with a temporary error."""

    ports: Ports
    owner: str
    ends: float
    troubled: set[_Place] = field(default_factory=set)

    def may_continue(self) -> bool:
        """Whether time remains and the lease of the sweep could be renewed."""
        return self.ports.clock.now() <= self.ends and self.renew_lease()

    def has_time_for_orders(self) -> bool:
        """Whether time remains to read another lost order from its CA."""
        return (
            self.ports.clock.now() <= self.ends - SWEEP_SECONDS + LOST_ORDERS_SECONDS and self.may_continue()
        )

    def renew_lease(self) -> bool:
        """Acquire the lease of the sweep, or renew it. Returns whether this worker has the lease."""
        return self.ports.locks.acquire("sweep", owner=self.owner, seconds=SWEEP_LOCK_SECONDS)

    def clean_up(self, entry: Presented) -> bool:
        """Clean up one challenge. Returns False if it must stay."""
        if _place(entry) in self.troubled:
            return False
        ports = self.ports
        facts = _facts(ports.records.read(entry.certificate))
        if facts is None or any((c.value or c.token) == entry.value for c in facts.challenges):
            return False
        try:
            if not entry.record_name:
                _clean_up_http01(ports, entry, facts)
                return True
            issuer = ports.home.issuer(entry.issuer)
            if issuer is None:
                return _give_up(ports, entry)
            ports.issuer_records.found(entry.issuer)
            challenges.clean_up(
                ports, entry.certificate, issuer, entry.labels, (_as_challenge(entry),), self.renew_lease
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
    """Clean up the challenges that belong to no run. Returns their number; 0 if another sweep is under way.

    A challenge that cannot be cleaned up now is postponed, so that newer ones are not blocked; a later sweep
    tries it again. A later sweep also handles what this one had no time for."""
    now = ports.clock.now()
    pass_ = _Sweep(ports=ports, owner=owner, ends=now + SWEEP_SECONDS)
    if not pass_.renew_lease():
        return 0
    swept = 0
    try:
        lost.to_journal(ports, pass_.has_time_for_orders, pass_.renew_lease, at=now - SWEEP_AFTER_SECONDS)
        old = ports.journal.older_than(now - SWEEP_AFTER_SECONDS, SWEEP_LIMIT)
        _postpone_unreadable(ports, old)
        for entry in old.entries:
            if not pass_.may_continue():
                break
            if pass_.clean_up(entry):
                ports.journal.remove([entry])
                swept += 1
            else:
                ports.journal.postpone([entry.field], now=ports.clock.now())
    finally:
        ports.locks.release("sweep", owner=owner)
    return swept


def _postpone_unreadable(ports: Ports, old: OldEntries) -> None:
    """Move unreadable entries out of the way of the others. An entry from a newer release is left to that
    release. A damaged entry is removed, and a log line asks for manual cleanup."""
    ports.journal.postpone(old.newer, now=ports.clock.now())
    for entry in old.damaged:
        certificate, record, value = (*entry.split(" "), "", "")[:3]
        reason = "its entry in the journal is damaged; if the TXT record is there, remove it by hand"
        log.warning("sweep.given_up", certificate=certificate, record=record, value=value, reason=reason)
    ports.journal.drop(old.damaged)


def _facts(record: Record | None) -> Facts | None:
    """The checkpointed facts of the certificate's run. None if only a newer release can read them."""
    try:
        return Facts.from_json(record.facts) if record is not None else Facts()
    except NewerRelease:
        return None
    except DamagedValue:  # the run fails at its next step, because its facts are damaged
        return Facts()


def _place(entry: Presented) -> _Place:
    """The key under which one failure predicts the next: the credentials of one issuer for one zone. HTTP-01
    entries have the zone ""."""
    return entry.issuer, entry.zone


def _clean_up_http01(ports: Ports, entry: Presented, facts: Facts) -> None:
    ports.key_authorizations.remove(entry.value)
    # The current run may use the same route for the token of another order.
    if all((c.identifier, c.route) != (entry.identifier, entry.route) for c in facts.challenges):
        ports.routes.cleanup(entry.certificate, entry.identifier, entry.route)


def _give_up(ports: Ports, entry: Presented) -> bool:
    """The issuer and its credentials are gone. Returns whether this has lasted for ORPHAN_SECONDS; then the
    entry is dropped, and a log line asks a person to remove the TXT record."""
    now = ports.clock.now()
    since = ports.issuer_records.gone_since(entry.issuer, now=now, kept_seconds=2 * ORPHAN_SECONDS)
    if now - since < ORPHAN_SECONDS:
        return False
    log.warning(
        "sweep.given_up",
        record=entry.record_name,
        value=entry.value,
        certificate=entry.certificate,
        reason=(
            f"{entry.issuer_kind} {entry.issuer_name} was deleted with its credentials; remove the TXT "
            "record by hand"
        ),
    )
    return True


def _as_challenge(entry: Presented) -> ChallengeFacts:
    """The fields of a challenge that `challenges.clean_up` needs."""
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
