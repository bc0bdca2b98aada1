"""A CA in front of Pebble that limits as Boulder does: in the same order of events, with the same texts.

Source: Boulder's ratelimits/gcra.go and limiter.go, NewOrder in wfe2/wfe.go, countCertificateIssued in
ra/ra.go."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from certmill.budgets.buckets import exact_set
from certmill.budgets.registered_domain import registered_domain
from certmill.model.names import Identifier, IdentifierType
from certmill.model.rate_limit import LimitName, RateLimit
from certmill.testing.faulty_ca import Fault, FaultyCA

_TEXTS = {
    LimitName.NEW_ORDERS: "too many new orders ({count}) from this account in the last {period}",
    LimitName.CERTIFICATES_PER_DOMAIN: (
        'too many certificates ({count}) already issued for "{subject}" in the last {period}'
    ),
    LimitName.CERTIFICATES_PER_SET: (
        "too many certificates ({count}) already issued for this exact set of identifiers "
        "in the last {period}"
    ),
}


@dataclass(slots=True, kw_only=True)
class BoulderBucket:
    """maybeSpend and maybeRefund of gcra.go. Times are in seconds."""

    limit: RateLimit
    full_at: float = 0.0

    def wait(self, now: float) -> float:
        """Seconds until a token is there; 0.0 or less if there is one."""
        next_full = max(now, self.full_at) + self.limit.interval
        return next_full - self.limit.count * self.limit.interval - now

    def spend(self, now: float) -> None:
        if self.wait(now) <= 0:
            self.full_at = max(now, self.full_at) + self.limit.interval

    def refund(self, now: float) -> None:
        self.full_at = max(self.full_at - self.limit.interval, now)


@dataclass(slots=True)
class _Buckets:
    limits: Mapping[LimitName, RateLimit]
    known: dict[tuple[LimitName, str], BoulderBucket] = field(default_factory=dict)

    def of(self, name: LimitName, subject: str) -> BoulderBucket:
        return self.known.setdefault((name, subject), BoulderBucket(limit=self.limits[name]))


class LimitedCA(FaultyCA):
    """`refused` has the text of each answer 429, and `created` the names of each new order."""

    def __init__(self, *, upstream: str, upstream_ca: bytes, limits: Mapping[LimitName, RateLimit]) -> None:
        super().__init__(upstream=upstream, upstream_ca=upstream_ca)
        self._buckets = _Buckets(limits)
        self._counting = threading.Lock()
        self._names: dict[str, tuple[Identifier, ...]] = {}
        self._issued: set[str] = set()
        self.refused: list[str] = []
        self.created: list[str] = []

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Fault:
        if path.startswith("/order-plz"):
            return self._new_order(method, path, headers, body)
        relayed = self.relay(method, path, headers, body)
        if path in self._names and relayed.status == 200:
            self._count(self._names.pop(path))
        return relayed

    def _new_order(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Fault:
        account = str(_part(body, "protected").get("kid", ""))
        names = tuple(_identifiers(_part(body, "payload").get("identifiers", [])))
        with self._counting:
            orders = self._buckets.of(LimitName.NEW_ORDERS, account)
            is_renewal = exact_set(names) in self._issued
            if (refusal := self._refusal(account, names, is_renewal)) is not None:
                return refusal
            if not is_renewal:
                orders.spend(time.time())
        relayed = self.relay(method, path, headers, body)
        with self._counting:
            if relayed.status == 201:
                self._names[urlsplit(str(json.loads(relayed.body)["finalize"])).path] = names
                self.created.append(exact_set(names))
            elif not is_renewal:
                orders.refund(time.time())
        return relayed

    def _refusal(self, account: str, names: tuple[Identifier, ...], is_renewal: bool) -> Fault | None:
        """The answer for the bucket with the longest wait."""
        checked = [(LimitName.CERTIFICATES_PER_SET, exact_set(names))]
        if not is_renewal:
            checked.append((LimitName.NEW_ORDERS, account))
            checked += [
                (LimitName.CERTIFICATES_PER_DOMAIN, domain)
                for domain in dict.fromkeys(map(registered_domain, names))
            ]
        now = time.time()
        seconds, name, subject = max(
            (self._buckets.of(name, subject).wait(now), name, subject) for name, subject in checked
        )
        if seconds <= 0:
            return None
        limit = self._buckets.limits[name]
        until = datetime.fromtimestamp(now + seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        period = f"{limit.seconds:g}s"
        text = _TEXTS[name].format(count=limit.count, subject=subject, period=period)
        detail = f"{text}, retry after {until}: see https://letsencrypt.org/docs/rate-limits"
        self.refused.append(detail)
        return Fault.problem(
            "rateLimited", status=429, detail=detail, headers={"Retry-After": str(max(1, round(seconds)))}
        )

    def _count(self, names: tuple[Identifier, ...]) -> None:
        """A certificate was issued."""
        with self._counting:
            now = time.time()
            if exact_set(names) not in self._issued:
                for domain in dict.fromkeys(map(registered_domain, names)):
                    self._buckets.of(LimitName.CERTIFICATES_PER_DOMAIN, domain).spend(now)
            self._buckets.of(LimitName.CERTIFICATES_PER_SET, exact_set(names)).spend(now)
            self._issued.add(exact_set(names))


def _part(body: bytes, name: str) -> dict[str, Any]:
    """A part of a JWS in the flattened form (RFC 8555 §6.2)."""
    encoded = str(json.loads(body)[name])
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)) or "{}")
    return found


def _identifiers(listed: Iterable[Mapping[str, str]]) -> Iterable[Identifier]:
    for each in listed:
        yield Identifier(type=IdentifierType(each["type"]), value=each["value"])
