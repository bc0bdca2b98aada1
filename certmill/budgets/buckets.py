"""Which buckets a request to a CA checks and spends from. Pure.

event                   checked                                     spent
newOrder                orders of the account, certificates per     orders of the account
                        domain and per exact set, failed and
                        consecutive failed authorizations
finalize                -                                           certificates per domain, per exact set
an authorization fails  -                                           failed, consecutive failed authorizations
a name is validated     -                                           (consecutive failures: full again)
newAccount              accounts of the IP address                  accounts of the IP address

Exempt at newOrder: an order that replaces a certificate inside its ARI window, from all. (A window in the
past, of an incident, does not exempt: Boulder requires that now is inside it.) An order for the same set of
identifiers as a certificate of the last 120 days, from the orders of the account and from certificates per
domain. At finalize only the second rule counts, so the exact set is always spent.

Source: NewOrder in Boulder's wfe2/wfe.go, countCertificateIssued and countFailedValidations in ra/ra.go."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from certmill.budgets.registered_domain import registered_domain
from certmill.model.names import Identifier
from certmill.model.rate_limit import LimitName, RateLimit

SAME_SET_SECONDS: Final = 120 * 86_400.0
"""How long a certificate exempts the next order for the same set of identifiers (Boulder)."""

_LONGEST_LATENESS: Final = 30.0
_LONGEST_SUBJECT: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A token bucket: `name` says what is limited, `scope` by whom (the CA, or an account), and `subject` for
    what (a domain; "" for the account itself)."""

    name: str
    scope: str
    subject: str
    limit: RateLimit

    @property
    def id(self) -> str:
        """The identity of the bucket, of limited length: part of its key in Redis."""
        parts = chr(0).join((self.scope, self.subject))
        return f"{self.name}:{hashlib.sha256(parts.encode()).hexdigest()[:24]}"

    @property
    def lateness(self) -> float:
        """The seconds by which the CA may count a request later than certmill: a request takes time. Without
        it a token would be used up to this time before the CA has it back."""
        return min(_LONGEST_LATENESS, self.limit.seconds / 20)

    def __str__(self) -> str:
        subject = self.subject
        if len(subject) > _LONGEST_SUBJECT:
            subject = f"{subject[: _LONGEST_SUBJECT - 1]}…"
        of = f" of {subject}" if subject else ""
        return f"{self.name} ({self.limit}){of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What a request needs: a token in each bucket of `checked`, and one token is spent in each of `spent`
    (which are also in `checked`)."""

    checked: tuple[Bucket, ...]
    spent: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of a CA (`server`: the URL of its directory; `uri`: of the account), with the limits that
    apply."""

    server: str
    uri: str
    limits: Mapping[LimitName, RateLimit]

    @property
    def _scope(self) -> str:
        """A CA chooses the URIs of its accounts, so another CA may have the same one."""
        return f"{self.server} {self.uri}"

    def new_order(
        self, identifiers: Iterable[Identifier], *, same_set: bool, in_ari_window: bool = False
    ) -> Purchase:
        """The buckets of a newOrder for these identifiers. `same_set`: a certificate for exactly these was
        issued in the last 120 days; `in_ari_window`: the order replaces a certificate, and now is inside its
        ARI window."""
        if in_ari_window:
            return Purchase(checked=(), spent=())
        wanted = tuple(identifiers)
        names = [identifier.value for identifier in wanted]
        orders = () if same_set else self._buckets(LimitName.NEW_ORDERS, self._scope, [""])
        return Purchase(
            checked=(
                *orders,
                *self.failed_authorizations(names),
                *(() if same_set else self._per_domain(wanted)),
                *self._per_set(wanted),
            ),
            spent=orders,
        )

    def finalize(self, identifiers: Iterable[Identifier], *, same_set: bool) -> tuple[Bucket, ...]:
        """The buckets from which an issued certificate is spent."""
        wanted = tuple(identifiers)
        return (*(() if same_set else self._per_domain(wanted)), *self._per_set(wanted))

    def failed_authorizations(self, names: Iterable[str]) -> tuple[Bucket, ...]:
        """The buckets from which failed authorizations are spent. `names`: the values of the order's
        identifiers, with `*.` for a wildcard."""
        wanted = [name.lower() for name in names]
        failed = self._buckets(LimitName.FAILED_AUTHORIZATIONS, self._scope, wanted)
        return (*failed, *self.consecutive_failures(wanted))

    def consecutive_failures(self, names: Iterable[str]) -> tuple[Bucket, ...]:
        """The buckets that are full again when these names are validated."""
        return self._buckets(LimitName.CONSECUTIVE_FAILURES, self._scope, (name.lower() for name in names))

    def new_account(self) -> Purchase:
        """The bucket of a newAccount. All processes count as one IP address."""
        buckets = self._buckets(LimitName.NEW_ACCOUNTS, self.server, [""])
        return Purchase(checked=buckets, spent=buckets)

    def of_the_account(self) -> tuple[Bucket, ...]:
        """The buckets that do not depend on the names of an order."""
        return (*self.new_order((), same_set=False).spent, *self.new_account().spent)

    def _per_domain(self, wanted: tuple[Identifier, ...]) -> tuple[Bucket, ...]:
        if LimitName.CERTIFICATES_PER_DOMAIN not in self.limits:
            return ()
        return self._buckets(
            LimitName.CERTIFICATES_PER_DOMAIN, self.server, (registered_domain(one) for one in wanted)
        )

    def _per_set(self, wanted: tuple[Identifier, ...]) -> tuple[Bucket, ...]:
        return self._buckets(LimitName.CERTIFICATES_PER_SET, self.server, [exact_set(wanted)])

    def _buckets(self, name: LimitName, scope: str, subjects: Iterable[str]) -> tuple[Bucket, ...]:
        limit = self.limits.get(name)
        if limit is None:
            return ()
        return tuple(
            Bucket(name=name.value, scope=scope, subject=subject, limit=limit)
            for subject in dict.fromkeys(subjects)
        )


def exact_set(identifiers: Iterable[Identifier]) -> str:
    """The identity of a set of identifiers: order, case and repetition do not matter. Source: HashIdentifiers
    in Boulder's core/util.go."""
    return ", ".join(sorted({identifier.value.lower() for identifier in identifiers}))
