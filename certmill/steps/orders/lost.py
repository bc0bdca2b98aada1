"""Orders of runs that Redis has lost. The next run continues the order if it can, and the sweep cleans up
its DNS-01 values.

The order's URL is in the Certificate's status (`notes`). A reconciliation that finds no run in Redis copies
it to the journal, before the next run writes its own order to the status."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from certmill.acme.client import AcmeClient
from certmill.acme.jws import AccountKey
from certmill.acme.resources import Authorization, Order
from certmill.errors import CertmillError, NotFound, Permanent, Temporary
from certmill.issuers import account
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.observe.log import get_logger
from certmill.runs.facts import ChallengeFacts
from certmill.runs.ports import Ports
from certmill.runs.step_context import FIRST_LOOKUP_SECONDS, StepContext
from certmill.runs.zone_locks import RenewLease
from certmill.state.journal import LostOrder, Presented
from certmill.steps import challenge_choice, challenges
from certmill.steps.orders import notes, reuse

_LIMIT = 500

log = get_logger(__name__)


def continuable(context: StepContext, acme: AcmeClient) -> Order | None:
    """The order of a lost run, if it can be continued with a new key.

    Only in the first run that Redis knows of, and only until this run has given up an order: after that, the
    note in the status is about an order of this run. Raises CAUnavailable, HomeUnavailable."""
    if context.record.run != 1 or context.facts.restarts:
        return None
    status = context.ports.home.certificate_status(context.certificate_id)
    if not status.order or status.order_spec != context.record.spec:
        return None
    now = context.ports.clock.now()
    order = reuse.continuable(acme, status.order, statuses=reuse.UNFINISHED, now=now)
    if order is None or set(order.identifiers) != set(context.certificate.identifiers):
        return None
    return order


def to_journal(ports: Ports, may_continue: Callable[[], bool], renew_lease: RenewLease, *, at: float) -> None:
    """Add the DNS-01 values of lost orders to the journal, as presented at `at` (seconds since the epoch), so
    that the sweep cleans them up. Ends when `may_continue()` is False.

    An order is postponed while its Certificate has a run: the run may continue the order, and then cleans up
    its values itself."""
    for order in ports.journal.lost_orders(_LIMIT):
        if not may_continue():
            return
        certificate = order.certificate
        record = ports.records.read(certificate)
        if record is not None and record.step:
            continue
        try:
            ports.journal.add(list(_values(ports, order, renew_lease)), now=at)
        except Temporary as error:
            log.warning("sweep.postponed", certificate=certificate, order=order.url, reason=str(error))
            continue
        except CertmillError as error:
            log.warning(
                "sweep.given_up",
                certificate=certificate,
                order=order.url,
                reason=f"{error}; TXT values of this order may be left",
            )
        ports.journal.forget_lost_order(certificate)
        notes.clear(ports.home, certificate, only=order.url)


def _values(ports: Ports, order: LostOrder, renew_lease: RenewLease) -> Iterator[Presented]:
    """The DNS-01 values of an order in any status. An authorization that the CA does not know any more has
    none."""
    certificate_id = order.certificate
    certificate = ports.home.certificate(certificate_id)
    issuer = ports.home.issuer(order.issuer or certificate.issuer) if certificate is not None else None
    if certificate is None or issuer is None:
        raise NotFound(f"Certificate {certificate_id} or its issuer does not exist")
    registered = account.registered(ports, issuer)
    if registered is None:
        raise NotFound(f"{issuer.reference} has no registered account, or it has another one now")
    key, acme = AccountKey.from_pem(registered.key_pem), account.client(ports, issuer)
    for url in acme.order(order.url).authorizations:
        renew_lease()
        try:
            challenge = _dns01(ports, certificate, issuer, acme.authorization(url), key)
        except Permanent as error:
            log.warning("sweep.given_up", certificate=certificate_id, authorization=url, reason=str(error))
            continue
        if challenge is not None:
            yield challenges.entry(certificate_id, issuer, challenge, certificate.labels)


def _dns01(
    ports: Ports, certificate: Certificate, issuer: Issuer, authorization: Authorization, key: AccountKey
) -> ChallengeFacts | None:
    """The DNS-01 challenge of an authorization, with its record. None for another type."""
    challenge, solver = challenge_choice.choose(certificate, issuer, authorization)
    if solver.dns01 is None:
        return None
    return challenge_choice.dns01_record(
        ports.checks.zones(solver.dns01),
        challenge,
        solver.dns01,
        key.thumbprint,
        within_seconds=FIRST_LOOKUP_SECONDS,
    )
