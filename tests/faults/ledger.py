"""Reads all orders of an account from the CA, regardless of who created them."""

from __future__ import annotations

import json
from collections import Counter

from certmill.acme.actions import Action
from certmill.acme.problems import RequestTarget
from certmill.acme.resources import Order
from certmill.issuers import account
from certmill.model.issuer import Issuer
from certmill.runtime import Runtime


def issuer_named(runtime: Runtime, name: str) -> Issuer:
    """The ClusterIssuer."""
    return next(issuer for issuer in runtime.ports.home.issuers() if issuer.name == name)


def orders_of(runtime: Runtime, issuer_name: str) -> list[Order]:
    """All orders of the issuer's account (RFC 8555 §7.1.2.1: a list of URLs, in pages)."""
    acme = account.client(runtime.ports, issuer_named(runtime, issuer_name))
    assert acme.account_uri is not None
    pages, urls = [acme.account_uri.replace("/my-account/", "/list-orderz/")], []
    while pages:
        answer = acme._session.post(
            pages.pop(), b"", about=RequestTarget.RESOURCE, what="list the orders", action=Action.GET_ORDER
        )
        urls += json.loads(answer.body)["orders"]
        pages += answer.links("next")
    return [acme.order(url) for url in dict.fromkeys(urls)]


def orders_by_name(runtime: Runtime, issuer_name: str) -> Counter[str]:
    """The number of orders for each name."""
    return Counter(
        identifier.value for order in orders_of(runtime, issuer_name) for identifier in order.identifiers
    )
