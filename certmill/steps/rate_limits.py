"""Keeps the requests of a run within the rate limits of its CA (certmill.budgets): a run waits for a token
before it creates an order, instead of getting an answer 429.

Each spend has a receipt, so a step that runs twice, or that dies on any line, spends once. If Redis loses its
data, the buckets are full, and answers 429 correct them."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from certmill.budgets.buckets import SAME_SET_SECONDS, Account, Bucket
from certmill.budgets.registered_domain import registered_domain
from certmill.certificates import secret_contract
from certmill.errors import CertmillError, FailureClass
from certmill.issuers.tokens import Tokens, Wait, account_of
from certmill.model.rate_limit import LimitName
from certmill.model.secret import Secret
from certmill.observe.log import get_logger
from certmill.runs.facts import ChallengeFacts
from certmill.runs.outcomes import Trouble, Waiting
from certmill.runs.step_context import StepContext
from certmill.state.buckets import LAST_RANK, Caller
from certmill.state.record import RunResult

_BACKDATED_SECONDS: Final = 86_400.0
"""CAs set notBefore earlier than the time of issue (Let's Encrypt: one hour)."""

_DEAD_FAILURES: Final = 3
_LONG_EXPIRED_SECONDS: Final = 7 * 86_400.0
"""A name without a certificate, or whose certificate expired so long ago, is dead if so many runs in a row
have failed. Others must not wait for it."""

log = get_logger(__name__)


def renews_same_set(context: StepContext, secret: Secret | None) -> bool:
    """Whether the Secret has a certificate of the run's issuer for exactly these identifiers that is at most
    120 days old. Then the new order is exempt from two limits (budgets.buckets)."""
    leaf, certificate, issuer = secret_contract.issued_leaf(secret), context.certificate, context.issuer
    if secret is None or leaf is None:
        return False
    stored = {*leaf.dns_names, *leaf.ip_addresses}
    wanted = {identifier.value for identifier in certificate.identifiers}
    is_recent = context.since(leaf.not_before) < SAME_SET_SECONDS - _BACKDATED_SECONDS
    by = secret_contract.candidate_in(secret, certificate)
    is_same_issuer = by is not None and (by.kind or "Issuer", by.name) == (issuer.kind, issuer.name)
    return stored == wanted and is_recent and is_same_issuer


def order_tokens(context: StepContext, secret: Secret | None, *, same_set: bool) -> Tokens:
    """The tokens of a new order. `secret`: that of the Certificate, as it is now."""
    certificate = context.certificate
    purchase = _account(context).new_order(certificate.identifiers, same_set=same_set)
    return Tokens(
        ports=context.ports,
        issuer=context.issuer,
        purchase=purchase,
        caller=_caller(context, secret) if purchase.checked else Caller(id=certificate.id, rank=None),
        receipt=f"order {certificate.id} {context.run_id} {context.record.since:.3f}",
    )


def waiting(context: StepContext, tokens: Tokens) -> Waiting | None:
    """Spend the tokens. Returns how the step waits if a bucket has none. If the bucket of the exact set is
    almost empty, the Certificate says so."""
    taken = tokens.take()
    if isinstance(taken, Wait):
        return Waiting(
            reason=taken.reason,
            seconds=taken.seconds,
            failure_class=FailureClass.RATE_LIMITED,
            trouble=Trouble.RATE_LIMITED,
        )
    for bucket in tokens.purchase.checked:
        if (
            bucket.name == LimitName.CERTIFICATES_PER_SET
            and taken.left.get(bucket.id, bucket.limit.count) == 1
        ):
            _warn_of_shared_set(context, bucket)
    return None


def _warn_of_shared_set(context: StepContext, bucket: Bucket) -> None:
    message = (
        f"this order takes the last certificate of {bucket}: too many Certificates have these names, or one "
        "is renewed too often"
    )
    log.warning("rate_limit.near", certificate=context.certificate_id, limit=str(bucket), reason=message)
    context.ports.events.record_event(context.certificate, "RateLimitNear", message, warning=True)


def spend_certificate(context: StepContext) -> None:
    """Spend what an issued certificate costs. Call it before the CSR is sent, so that no other order can take
    the same token meanwhile."""
    facts, ports = context.facts, context.ports
    buckets = _account(context).finalize(context.certificate.identifiers, same_set=facts.same_set)
    ports.buckets.spend(buckets, receipt=f"certificate {facts.order}", now=ports.clock.now())


def spend_failure(context: StepContext, challenge: ChallengeFacts) -> None:
    """Spend what a failed authorization costs."""
    ports = context.ports
    buckets = _account(context).failed_authorizations([challenge.name])
    ports.buckets.spend(buckets, receipt=f"failure {challenge.authorization}", now=ports.clock.now())


def forgive_failures(context: StepContext) -> None:
    """The names of the run were validated: their consecutive failures are over."""
    names = [challenge.name for challenge in context.facts.challenges]
    buckets = _account(context).consecutive_failures(names)
    context.ports.buckets.fill(buckets, now=context.ports.clock.now())


def _account(context: StepContext) -> Account:
    return account_of(context.issuer, context.facts.account)


def _caller(context: StepContext, secret: Secret | None) -> Caller:
    """Renewals come first, the least remaining life first of all. Behind them the registered domains of new
    names take turns. Names without a certificate that keep failing come last."""
    certificate, leaf = context.certificate, secret_contract.issued_leaf(secret)
    rank = leaf.not_after if leaf is not None else None
    if (
        context.since(rank or 0.0) > _LONG_EXPIRED_SECONDS
        and (failures := _failures(context)) >= _DEAD_FAILURES
    ):
        rank = LAST_RANK + failures
    return Caller(id=certificate.id, rank=rank, group=registered_domain(certificate.identifiers[0]))


def _failures(context: StepContext) -> int:
    """How many runs in a row have failed. The status is read only if the last one has."""
    if context.record.result in ("", *RunResult):
        return 0
    with suppress(CertmillError):
        return context.ports.home.certificate_status(context.certificate_id).failed_issuance_attempts
    return 0
