"""Decides whether a run can continue an order that exists: its own order, or the order of a lost run."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from certmill.acme.client import AcmeClient
from certmill.acme.resources import Order, OrderStatus
from certmill.errors import OrderGone

_LEAST_SECONDS_LEFT: Final = 60.0
"""An order that expires earlier than this cannot be finished in time."""

UNFINISHED: Final = (OrderStatus.PENDING, OrderStatus.READY)
"""The CA has no CSR yet, so a new key can be used."""
WITH_THE_SAME_KEY: Final = (*UNFINISHED, OrderStatus.PROCESSING, OrderStatus.VALID)
"""The CA may have the CSR, so the order can be continued only with the key of that CSR."""


def is_expiring(expires: float | None, *, now: float) -> bool:
    """Whether an order expires too soon to be continued (seconds since the epoch). An order does not need to
    have an expiry time (RFC 8555 §7.1.3)."""
    return expires is not None and expires < now + _LEAST_SECONDS_LEFT


def continuable(acme: AcmeClient, url: str, *, statuses: Collection[OrderStatus], now: float) -> Order | None:
    """The order as the CA has it now, if it has one of these statuses and does not expire soon. Raises
    CAUnavailable."""
    try:
        order = acme.order(url)
    except OrderGone:
        return None
    return order if order.status in statuses and not is_expiring(order.expires, now=now) else None
