"""Present and clean up challenges: TXT values through the solver's provider, key authorizations for the
responder.

A hundred values may take minutes. Before each request to a provider, the caller's lease (`renew_lease`) and
the zone's lock are renewed, so that no other worker starts the same work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import cast

from certmill.acme.challenges import DNS01, HTTP01, key_authorization
from certmill.dns01.base import BatchProvider, Provider, TxtRecord
from certmill.errors import Busy, CertmillError
from certmill.model.issuer import Dns01Solver, Issuer
from certmill.model.names import CertificateId, split_id
from certmill.runs.facts import ChallengeFacts
from certmill.runs.ports import Ports
from certmill.runs.step_context import StepContext
from certmill.runs.zone_locks import RenewLease, ZonePlace
from certmill.state.journal import Presented
from certmill.steps import solvers
from certmill.steps.orders import notes

_Write = tuple[Dns01Solver, ChallengeFacts]
_HOST = "http01"
_HOST_MARGIN_SECONDS = 600.0


def present(context: StepContext, challenges: Sequence[ChallengeFacts], thumbprint: str) -> None:
    """Present all challenges. A value that exists already is not duplicated.

    The journal is written before anything is presented. Raises Busy."""
    ports, labels = context.ports, context.certificate.labels
    ports.journal.add(
        [entry(context.certificate_id, context.issuer, challenge, labels) for challenge in challenges],
        now=ports.clock.now(),
    )
    if any(challenge.type == DNS01 for challenge in challenges):
        notes.note(ports.home, context.certificate_id, order=context.facts.order, spec=context.record.spec)
    for challenge in sorted(challenges, key=lambda each: each.identifier):
        if challenge.route:
            _claim_host(context, challenge)
    for challenge in challenges:
        if challenge.type == HTTP01:
            context.renew_lease()
            answer = key_authorization(challenge.token, thumbprint)
            ports.key_authorizations.put(challenge.token, answer, host=challenge.identifier)
            present_route(context, challenge, labels)
    for place, writes in _by_place(context.issuer, labels, [c for c in challenges if c.type == DNS01]):
        with _turn(ports, place, context.renew_lease) as renew_lease:
            _write(ports, context.issuer, writes, renew_lease, adding=True)


def present_route(context: StepContext, challenge: ChallengeFacts, labels: Mapping[str, str]) -> None:
    """Route the CA's HTTP-01 request to the responder. A repeated call repairs a route that was changed.

    `labels`: the labels with which the solver was chosen."""
    solver = solvers.pick(context.issuer, challenge.name, labels=labels, offered=(HTTP01,))
    assert solver.http01 is not None
    if challenge.route:
        _claim_host(context, challenge)
    context.ports.routes.present(context.certificate, challenge.identifier, challenge.token, solver.http01)


def _claim_host(context: StepContext, challenge: ChallengeFacts) -> None:
    """Lock the host, so that one Certificate of a namespace at a time has a route for it. Raises Busy.

    The reason: of two Ingresses for a host, an ingress controller uses one. Certificates of other namespaces
    do not block the host, because otherwise any user could block a host with a request for it. A route
    serves only its own challenge."""
    context.renew_lease()
    limits, host = context.ports.limits, challenge.identifier
    seconds = limits.propagation_timeout + limits.validation_timeout + _HOST_MARGIN_SECONDS
    if not context.ports.locks.acquire(
        _HOST, context.certificate.namespace, host, owner=context.certificate_id, seconds=seconds
    ):
        context.ports.key_authorizations.remove(challenge.token)
        raise Busy(
            f"another Certificate of the namespace has a challenge for {host} under way", retry_after=1.0
        )


def clean_up(
    ports: Ports,
    certificate: CertificateId,
    issuer: Issuer,
    labels: Mapping[str, str],
    challenges: Sequence[ChallengeFacts],
    renew_lease: RenewLease,
) -> None:
    """Clean up all challenges. A missing value is not an error. `renew_lease` is called before each request.

    An error of HTTP-01 is raised at the end, after DNS-01 was cleaned up. Raises CertmillError."""
    refused = None
    try:
        clean_up_http01(ports, certificate, challenges, renew_lease)
    except CertmillError as error:
        refused = error
    for place, writes in _by_place(
        issuer, labels, [c for c in challenges if c.type == DNS01 and c.record_name]
    ):
        with _turn(ports, place, renew_lease) as renew_both:
            _write(ports, issuer, writes, renew_both, adding=False)
    if refused is not None:
        raise refused


def clean_up_http01(
    ports: Ports, certificate: CertificateId, challenges: Sequence[ChallengeFacts], renew_lease: RenewLease
) -> None:
    """Clean up the HTTP-01 challenges. No issuer is needed.

    Tokens are removed first, so they are removed even if certmill has no permission to change an
    Ingress."""
    found = [challenge for challenge in challenges if challenge.type == HTTP01]
    for challenge in found:
        ports.key_authorizations.remove(challenge.token)
    for challenge in found:
        renew_lease()
        ports.routes.cleanup(certificate, challenge.identifier, challenge.route)
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
        route=challenge.route,
        labels=labels,
    )


def _turn(ports: Ports, place: ZonePlace, renew_lease: RenewLease) -> AbstractContextManager[RenewLease]:
    return ports.zone_locks.turn(
        place, ports.locks, ports.clock, lease_seconds=ports.limits.lease, renew_lease=renew_lease
    )


def _by_place(
    issuer: Issuer, labels: Mapping[str, str], challenges: Sequence[ChallengeFacts]
) -> list[tuple[ZonePlace, list[_Write]]]:
    """Group the challenges and their solvers by zone and by server or account, in a fixed order."""
    found: dict[ZonePlace, list[_Write]] = {}
    for challenge in challenges:
        solver = solvers.pick(issuer, challenge.name, labels=labels, offered=(DNS01,))
        assert solver.dns01 is not None
        place = ZonePlace(account=solver.dns01.provider.account(issuer.namespace), zone=challenge.zone)
        found.setdefault(place, []).append((solver.dns01, challenge))
    return sorted(found.items(), key=lambda each: (each[0].zone, each[0].account))


def _write(
    ports: Ports, issuer: Issuer, writes: Sequence[_Write], renew_lease: RenewLease, *, adding: bool
) -> None:
    """Add or remove the values of one place, in one request if the provider supports it."""
    by_provider: dict[int, tuple[Provider, list[TxtRecord]]] = {}
    for solver, challenge in writes:
        provider = ports.providers.provider(issuer, solver)
        record = TxtRecord(name=challenge.record_name, value=challenge.value, zone=challenge.zone)
        by_provider.setdefault(id(provider), (provider, []))[1].append(record)
    for provider, records in by_provider.values():
        _send(provider, records, renew_lease, adding=adding)


def _send(provider: Provider, records: Sequence[TxtRecord], renew_lease: RenewLease, *, adding: bool) -> None:
    if len(records) > 1 and hasattr(provider, "present_all"):
        batch = cast("BatchProvider", provider)
        renew_lease()
        (batch.present_all if adding else batch.cleanup_all)(records)
        return
    one: Callable[[TxtRecord], None] = provider.present if adding else provider.cleanup
    for record in records:
        renew_lease()
        one(record)
