"""Putting challenges up and taking them down: TXT values through the solver's provider, key authorizations
for the responder.

A hundred values may take minutes. Before each request to a provider the caller's lease (`hold`) and the
zone's lock are held for longer, so that nobody begins the same work meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import cast

from certmill.acme.challenges import DNS01, HTTP01, key_authorization
from certmill.dns01.base import BatchProvider, Provider, TxtRecord
from certmill.errors import Busy, CertmillError
from certmill.model.issuer import Dns01Solver, Issuer
from certmill.model.names import CertificateId, split_id
from certmill.runs.context import Ports, Work
from certmill.runs.facts import ChallengeFacts
from certmill.runs.zone_locks import RenewLease, ZonePlace
from certmill.state.journal import Presented
from certmill.steps import order_notes, solvers

_Write = tuple[Dns01Solver, ChallengeFacts]
_HOST = "http01"
_HOST_MARGIN_SECONDS = 600.0


def present(work: Work, challenges: Sequence[ChallengeFacts], thumbprint: str) -> None:
    """Present them all; what is there already stays one value. They are in the journal before they are up."""
    ports, labels = work.ports, work.certificate.labels
    ports.journal.add(
        [entry(work.id, work.issuer, challenge, labels) for challenge in challenges], now=ports.clock.now()
    )
    if any(challenge.type == DNS01 for challenge in challenges):
        order_notes.note(ports.home, work.id, order=work.facts.order, spec=work.record.spec)
    for challenge in sorted(challenges, key=lambda each: each.identifier):
        if challenge.way:
            _claim_host(work, challenge)
    for challenge in challenges:
        if challenge.type == HTTP01:
            work.hold()
            answer = key_authorization(challenge.token, thumbprint)
            ports.key_authorizations.put(challenge.token, answer, host=challenge.identifier)
            expose(work, challenge, labels)
    for place, writes in _by_place(work.issuer, labels, [c for c in challenges if c.type == DNS01]):
        with _turn(ports, place, work.hold) as hold:
            _write(ports, work.issuer, writes, hold, adding=True)


def expose(work: Work, challenge: ChallengeFacts, labels: Mapping[str, str]) -> None:
    """Lead the CA's request for an http-01 challenge to the responder; done again, it heals what somebody
    changed. `labels`: those with which its solver was chosen."""
    solver = solvers.pick(work.issuer, challenge.name, labels=labels, offered=(HTTP01,))
    assert solver.http01 is not None
    if challenge.way:
        _claim_host(work, challenge)
    work.ports.routes.present(work.certificate, challenge.identifier, challenge.token, solver.http01)


def _claim_host(work: Work, challenge: ChallengeFacts) -> None:
    """An ingress controller takes one of two Ingresses for a host: of a namespace's Certificates one has a
    way for it at a time. Those of others are no hindrance, or anybody could hold up a host by asking for it:
    a way leads its own challenge only. Raises Busy."""
    work.hold()
    limits, host = work.ports.limits, challenge.identifier
    seconds = limits.propagation_timeout + limits.validation_timeout + _HOST_MARGIN_SECONDS
    if work.ports.locks.take(_HOST, work.certificate.namespace, host, owner=work.id, seconds=seconds):
        work.ports.key_authorizations.remove(challenge.token)
        raise Busy(
            f"another Certificate of the namespace has a challenge for {host} under way", retry_after=1.0
        )


def take_down(
    ports: Ports,
    certificate: CertificateId,
    issuer: Issuer,
    labels: Mapping[str, str],
    challenges: Sequence[ChallengeFacts],
    hold: RenewLease,
) -> None:
    """Remove them all; what is not there is fine. `hold` is called before each request. What cannot be
    removed is told at the end."""
    refused = None
    try:
        take_down_http01(ports, certificate, challenges, hold)
    except CertmillError as error:
        refused = error
    for place, writes in _by_place(
        issuer, labels, [c for c in challenges if c.type == DNS01 and c.record_name]
    ):
        with _turn(ports, place, hold) as renew_both:
            _write(ports, issuer, writes, renew_both, adding=False)
    if refused is not None:
        raise refused


def take_down_http01(
    ports: Ports, certificate: CertificateId, challenges: Sequence[ChallengeFacts], hold: RenewLease
) -> None:
    """Those of http-01, which need no issuer. The tokens first: whoever may not touch an Ingress can still
    give those up."""
    found = [challenge for challenge in challenges if challenge.type == HTTP01]
    for challenge in found:
        ports.key_authorizations.remove(challenge.token)
    for challenge in found:
        hold()
        ports.routes.cleanup(certificate, challenge.identifier, challenge.way)
        ports.locks.release(_HOST, split_id(certificate)[0], challenge.identifier, owner=certificate)


def entry(
    certificate: CertificateId, issuer: Issuer, challenge: ChallengeFacts, labels: Mapping[str, str]
) -> Presented:
    """The journal's entry for a challenge."""
    return Presented(
        certificate=certificate,
        issuer_kind=issuer.kind,
        issuer_namespace=issuer.namespace,
        issuer_name=issuer.name,
        identifier=challenge.name,
        record_name=challenge.record_name,
        zone=challenge.zone,
        value=challenge.value or challenge.token,
        way=challenge.way,
        labels=labels,
    )


def _turn(ports: Ports, place: ZonePlace, hold: RenewLease) -> AbstractContextManager[RenewLease]:
    return ports.zone_locks.turn(place, ports.locks, ports.clock, lease_seconds=ports.limits.lease, hold=hold)


def _by_place(
    issuer: Issuer, labels: Mapping[str, str], challenges: Sequence[ChallengeFacts]
) -> list[tuple[ZonePlace, list[_Write]]]:
    """The challenges with their solvers, by zone and by the server or account that is written to, in a fixed
    order."""
    found: dict[ZonePlace, list[_Write]] = {}
    for challenge in challenges:
        solver = solvers.pick(issuer, challenge.name, labels=labels, offered=(DNS01,))
        assert solver.dns01 is not None
        place = ZonePlace(account=solvers.account_of(issuer, solver.dns01), zone=challenge.zone)
        found.setdefault(place, []).append((solver.dns01, challenge))
    return sorted(found.items(), key=lambda each: (each[0].zone, each[0].account))


def _write(ports: Ports, issuer: Issuer, writes: Sequence[_Write], hold: RenewLease, *, adding: bool) -> None:
    """Write the values of one place, in one request where the provider can."""
    by_provider: dict[int, tuple[Provider, list[TxtRecord]]] = {}
    for solver, challenge in writes:
        provider = ports.providers.provider(issuer, solver)
        record = TxtRecord(name=challenge.record_name, value=challenge.value, zone=challenge.zone)
        by_provider.setdefault(id(provider), (provider, []))[1].append(record)
    for provider, records in by_provider.values():
        _send(provider, records, hold, adding=adding)


def _send(provider: Provider, records: Sequence[TxtRecord], hold: RenewLease, *, adding: bool) -> None:
    if len(records) > 1 and hasattr(provider, "present_all"):
        batch = cast("BatchProvider", provider)
        hold()
        (batch.present_all if adding else batch.cleanup_all)(records)
        return
    one: Callable[[TxtRecord], None] = provider.present if adding else provider.cleanup
    for record in records:
        hold()
        one(record)
