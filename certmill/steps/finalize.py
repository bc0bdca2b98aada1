"""Step 6: send the CSR (RFC 8555 §7.4), and poll the order until the certificate is issued."""

from __future__ import annotations

import base64
from dataclasses import replace

from certmill.acme.client import AcmeClient
from certmill.acme.problems import problem_error
from certmill.acme.resources import Order, OrderStatus
from certmill.errors import CAUnavailable, OrderNotReady, OrderRefused, RateLimited
from certmill.issuers import account
from certmill.runs.backoff import poll_delay
from certmill.runs.facts import Facts
from certmill.runs.outcomes import Advanced, Failed, Outcome, Restart, Waiting
from certmill.runs.step_context import StepContext

_LINGER_SECONDS = (0.01, 0.05, 0.15, 0.24, 0.35)


def finalize(context: StepContext) -> Outcome:
    """Finalize once; after a crash, the order itself says whether it was."""
    acme = account.client(context.ports, context.issuer)
    return _polled(context, acme, _send_csr(context, acme))


def _send_csr(context: StepContext, acme: AcmeClient) -> Order:
    if context.facts.finalized_at is not None:
        return acme.order(context.facts.order)
    try:
        return acme.finalize(context.facts.finalize, base64.b64decode(context.facts.csr))
    except OrderNotReady:
        context.renew_lease()
        return acme.order(context.facts.order)


def _polled(context: StepContext, acme: AcmeClient, order: Order) -> Outcome:
    sent_at = (
        context.facts.finalized_at if context.facts.finalized_at is not None else context.ports.clock.now()
    )
    facts = replace(context.facts, finalized_at=sent_at)
    for pause in _LINGER_SECONDS:
        if order.status is not OrderStatus.PROCESSING:
            break
        context.ports.clock.pause(pause)
        context.renew_lease()
        order = acme.order(context.facts.order)
    return _judged(context, facts, order)


def _judged(context: StepContext, facts: Facts, order: Order) -> Outcome:
    if order.status is OrderStatus.VALID and order.certificate:
        return Advanced(facts=replace(facts, certificate=order.certificate))
    names = ", ".join(str(identifier) for identifier in context.certificate.identifiers[:3])
    if order.status is OrderStatus.INVALID:
        error = (
            problem_error(order.error, name=names)
            if order.error
            else OrderRefused(f"the CA says that the order for {names} is invalid")
        )
        if isinstance(error, RateLimited):
            return Restart(step="create_order", reason=str(error), facts=facts.without_order(), after=error)
        return Failed(error=error, facts=facts)
    elapsed = context.since(facts.finalized_at)
    if elapsed >= context.ports.limits.validation_timeout:
        # The next run goes on with this order and this key: the CA may have issued by then, and a second
        # certificate would cost.
        return Failed(
            error=CAUnavailable(f"the CA has not issued {names} within {elapsed / 60:.0f} min"), facts=facts
        )
    if order.status in (OrderStatus.PENDING, OrderStatus.READY):
        # Not finalized after all (orderNotReady): the CSR goes again, the authorizations may need a moment
        # (RFC 8555 §7.4).
        step = "validate" if order.status is OrderStatus.PENDING else "finalize"
        return Restart(
            step=step,
            reason=f"the order for {names} is {order.status}",
            facts=replace(facts, finalized_at=None),
        )
    seconds = min(order.retry_after, 60.0) if order.retry_after is not None else poll_delay(elapsed)
    return Waiting(reason=f"the CA is issuing {names}", seconds=seconds, facts=facts)
