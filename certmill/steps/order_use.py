"""Whether a run can go on with an order that is there: one owner for the run's own order and for one that a
lost run has left."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from certmill.acme.client import AcmeClient
from certmill.acme.resources import Order, OrderStatus
from certmill.errors import OrderGone

_STALE_SECONDS: Final = 60.0
"""An order that expires within a minute is of no more use."""

UNFINISHED: Final = (OrderStatus.PENDING, OrderStatus.READY)
"""Whose key may be any: no CSR has been sent."""
GOING_ON: Final = (*UNFINISHED, OrderStatus.PROCESSING, OrderStatus.VALID)
"""Where the key of its CSR has been kept."""


def is_stale(expires: float | None, *, now: float) -> bool:
    """Whether an order that expires at `expires` is of no more use. An order without that instant (RFC 8555
    §7.1.3) can be used."""
    return expires is not None and expires < now + _STALE_SECONDS


def usable(acme: AcmeClient, url: str, *, statuses: Collection[OrderStatus], now: float) -> Order | None:
    """The order as the CA has it, if it can still lead to a certificate: in one of these statuses, and not
    about to expire."""
    try:
        order = acme.order(url)
    except OrderGone:
        return None
    return order if order.status in statuses and not is_stale(order.expires, now=now) else None
