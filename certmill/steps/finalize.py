"""Step 6: send the CSR (RFC 8555 §7.4), and poll the order until the certificate is issued."""

from __future__ import annotations

import base64
from dataclasses import replace

from certmill.acme.client import AcmeClient
from certmill.acme.problems import problem_error
from certmill.acme.resources import Order, OrderStatus
from certmill.errors import OrderNotReady, OrderRefused
from certmill.issuers import account
from certmill.runs.facts import Facts
from certmill.runs.outcomes import Advanced, Outcome, Restart
from certmill.runs.step_context import StepContext
from certmill.steps import polling, rate_limits

_PAUSES = (0.01, 0.05, 0.15, 0.24, 0.35)
"""Seconds between the polls of the order. The first is short, because a CA that issues at once is the common
case."""


def finalize(context: StepContext) -> Outcome:
    """Send the CSR once. After a crash, the order's status shows whether the CA has it."""
    acme = account.client(context.ports, context.issuer)
    order = _send_csr(context, acme)
    sent_at = context.facts.finalized_at
    facts = replace(context.facts, finalized_at=sent_at if sent_at is not None else context.ports.clock.now())
    order = polling.poll(
        context,
        order,
        ask_again=lambda _: acme.order(facts.order),
        is_open=lambda order: order.status is OrderStatus.PROCESSING,
        pauses=_PAUSES,
    )
    return _outcome(context, facts, order)


def _send_csr(context: StepContext, acme: AcmeClient) -> Order:
    if context.facts.finalized_at is not None:
        return acme.order(context.facts.order)
    rate_limits.spend_certificate(context)
    try:
        return acme.finalize(context.facts.finalize, base64.b64decode(context.facts.csr))
    except OrderNotReady:
        context.renew_lease()
        return acme.order(context.facts.order)


def _outcome(context: StepContext, facts: Facts, order: Order) -> Outcome:
    """What the order's status means (RFC 8555 §7.1.6)."""
    names = ", ".join(str(identifier) for identifier in context.certificate.identifiers[:3])
    if order.status is OrderStatus.VALID and order.certificate:
        return Advanced(facts=replace(facts, certificate=order.certificate))
    if order.status is OrderStatus.INVALID:
        if order.error:
            return polling.refused(problem_error(order.error, name=names), facts)
        return polling.refused(OrderRefused(f"the CA says that the order for {names} is invalid"), facts)
    since = facts.finalized_at
    if (failed := polling.timed_out(context, facts, since=since, what=f"issued {names}")) is not None:
        return failed
    if order.status in (OrderStatus.PENDING, OrderStatus.READY):
        return _finalize_again(facts, order, names)
    return polling.wait(
        context, facts, since=since, reason=f"the CA is issuing {names}", retry_after=order.retry_after
    )


def _finalize_again(facts: Facts, order: Order, names: str) -> Restart:
    """The order was not ready (orderNotReady): the CSR is sent again. In "pending" the authorizations are
    polled first (RFC 8555 §7.4)."""
    step = "validate" if order.status is OrderStatus.PENDING else "finalize"
    return Restart(
        step=step,
        reason=f"the order for {names} is {order.status}",
        facts=replace(facts, finalized_at=None),
    )
