"""Present and clean up challenges: TXT values through the solver's provider, key authorizations for the
responder.

A hundred values may take minutes. Before each request to a provider, the caller's lease (`hold`) and the
zone's lock are renewed, so that no other worker starts the same work."""

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
    """Present all challenges. A value that exists already is not duplicated.

    The journal is written before anything is presented. Raises Busy."""
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
    """Route the CA's HTTP-01 request to the responder. A repeated call repairs a route that was changed.

    `labels`: the labels with which the solver was chosen."""
    solver = solvers.pick(work.issuer, challenge.name, labels=labels, offered=(HTTP01,))
    assert solver.http01 is not None
    if challenge.way:
        _claim_host(work, challenge)
    work.ports.routes.present(work.certificate, challenge.identifier, challenge.token, solver.http01)


def _claim_host(work: Work, challenge: ChallengeFacts) -> None:
    """Lock the host, so that one Certificate of a namespace at a time has a route for it. Raises Busy.

    The reason: of two Ingresses for a host, an ingress controller uses one. Certificates of other namespaces
    do not block the host, because otherwise any user could block a host with a request for it. A route
    serves only its own challenge."""
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
    """Clean up all challenges. A missing value is not an error. `hold` is called before each request.

    An error of HTTP-01 is raised at the end, after DNS-01 was cleaned up. Raises CertmillError."""
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
    """Clean up the HTTP-01 challenges. No issuer is needed.

    Tokens are removed first, so they are removed even if certmill has no permission to change an
    Ingress."""
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
    """Group the challenges and their solvers by zone and by server or account, in a fixed order."""
    found: dict[ZonePlace, list[_Write]] = {}
    for challenge in challenges:
        solver = solvers.pick(issuer, challenge.name, labels=labels, offered=(DNS01,))
        assert solver.dns01 is not None
        place = ZonePlace(account=solvers.account_of(issuer, solver.dns01), zone=challenge.zone)
        found.setdefault(place, []).append((solver.dns01, challenge))
    return sorted(found.items(), key=lambda each: (each[0].zone, each[0].account))


def _write(ports: Ports, issuer: Issuer, writes: Sequence[_Write], hold: RenewLease, *, adding: bool) -> None:
    """Add or remove the values of one place, in one request if the provider supports it."""
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
