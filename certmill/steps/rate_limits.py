"""Keeps the requests of a run within the rate limits of its CA (certmill.budgets): a run waits for a token
before it creates an order, instead of getting an answer 429.

Each spend has a receipt, so a step that runs twice, or that dies on any line, spends once. If Redis loses its
data, the buckets are full, and answers 429 correct them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from certmill.acme.problems import AcmeProblem
from certmill.budgets.buckets import SAME_SET_SECONDS, Account, Purchase
from certmill.budgets.profiles import limits_of
from certmill.budgets.refusals import named_in
from certmill.budgets.registered_domain import registered_domain
from certmill.certificates import secret_contract
from certmill.crypto import chain
from certmill.errors import CertmillError, FailureClass, Permanent, RateLimited, SecretUnusable
from certmill.http.transport import host_of
from certmill.model.certificate import Certificate
from certmill.model.secret import TLS_CERTIFICATE, Secret
from certmill.observe import recording
from certmill.observe.log import get_logger
from certmill.runs.facts import ChallengeFacts
from certmill.runs.outcomes import Waiting
from certmill.runs.step_context import StepContext
from certmill.state.buckets import Caller

_BACKDATED_SECONDS: Final = 86_400.0
"""CAs set notBefore earlier than the time of issue (Let's Encrypt: one hour)."""

log = get_logger(__name__)


def renews_same_set(context: StepContext, secret: Secret | None) -> bool:
    """Whether the Secret has a certificate of the run's issuer for exactly these identifiers that is at most
    120 days old. Then the new order is exempt from two limits (budgets.buckets)."""
    leaf, certificate, issuer = _leaf(secret), context.certificate, context.issuer
    if secret is None or leaf is None:
        return False
    stored = {*leaf.dns_names, *leaf.ip_addresses}
    wanted = {identifier.value for identifier in certificate.identifiers}
    is_recent = context.since(leaf.not_before) < SAME_SET_SECONDS - _BACKDATED_SECONDS
    by = secret_contract.candidate_in(secret, certificate)
    is_same_issuer = by is not None and (by.kind or "Issuer", by.name) == (issuer.kind, issuer.name)
    return stored == wanted and is_recent and is_same_issuer


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTokens:
    """The tokens that one new order needs. `receipt`: the same for each try of this step."""

    context: StepContext
    purchase: Purchase
    caller: Caller
    receipt: str

    @classmethod
    def of(cls, context: StepContext, secret: Secret | None, *, same_set: bool) -> OrderTokens:
        """`secret`: that of the Certificate, as it is now."""
        identifiers = context.certificate.identifiers
        purchase = _account(context).new_order(identifiers, same_set=same_set)
        return cls(
            context=context,
            purchase=purchase,
            caller=_caller(context.certificate, secret) if purchase.checked else Caller(id="", rank=None),
            receipt=f"order {context.certificate_id} {context.run_id} {context.record.since:.3f}",
        )

    def take(self) -> Waiting | None:
        """Spend the tokens. Returns a wait if a bucket has none."""
        context = self.context
        empty = context.ports.buckets.take(
            self.purchase, self.caller, receipt=self.receipt, now=context.ports.clock.now()
        )
        if empty is None:
            return None
        recording.sink().rate_limit_wait(empty.bucket.name)
        reason = f"waits for a rate limit of {host_of(context.issuer.server)}: {empty.bucket}"
        return Waiting(reason=reason, seconds=empty.seconds, failure_class=FailureClass.RATE_LIMITED)

    @contextmanager
    def settled_after_errors(self) -> Iterator[None]:
        """The context of what the tokens are for. They are given back after an error, because the CA has
        spent nothing; but not if it did not answer, because the order may exist. An answer 429 empties the
        bucket that it names."""
        try:
            yield
        except CertmillError as error:
            if isinstance(error, Permanent) or isinstance(error.__cause__, AcmeProblem):
                self._give_back()
            if isinstance(error, RateLimited):
                self._learn(error)
            raise

    def _give_back(self) -> None:
        ports = self.context.ports
        ports.buckets.refund(self.purchase.spent, receipt=self.receipt, now=ports.clock.now())

    def _learn(self, error: RateLimited) -> None:
        named = named_in(str(error), self.purchase.checked)
        if named is None:
            return
        seconds = error.retry_after if error.retry_after is not None else named.limit.interval
        ports = self.context.ports
        ports.buckets.empty(named, seconds=seconds, now=ports.clock.now())
        log.warning(
            "rate_limit.reached",
            certificate=self.context.certificate_id,
            limit=str(named),
            seconds=round(seconds),
            reason=str(error),
        )


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
    issuer = context.issuer
    limits = limits_of(issuer.server, issuer.rate_limits)
    return Account(server=issuer.server, uri=context.facts.account, limits=limits)


def _caller(certificate: Certificate, secret: Secret | None) -> Caller:
    """Renewals come first, the least remaining life first of all. Behind them the registered domains of new
    names take turns."""
    leaf = _leaf(secret)
    return Caller(
        id=certificate.id,
        rank=leaf.not_after if leaf is not None else None,
        group=registered_domain(certificate.identifiers[0]),
    )


def _leaf(secret: Secret | None) -> chain.Leaf | None:
    """The certificate in the Secret; None if there is none that a CA has issued."""
    if secret is None or not secret.data.get(TLS_CERTIFICATE) or secret_contract.is_temporary(secret):
        return None
    with suppress(SecretUnusable):
        return chain.leaf(secret.data[TLS_CERTIFICATE])
    return None
