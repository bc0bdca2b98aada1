"""A CA in memory, for tests. It has the verbs of `certmill.acme.client.AcmeClient`: orders, authorizations
and certificates with the states of RFC 8555 §7.1.6.

Validation happens at once, by the function `validates`. Neither orders nor valid authorizations are reused,
so each order needs all its requests.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certmill.acme.ari import RenewalInfo
from certmill.acme.client import AcmeClient
from certmill.acme.jws import AccountKey
from certmill.acme.resources import (
    Account,
    AccountStatus,
    Authorization,
    AuthorizationStatus,
    Challenge,
    ChallengeStatus,
    Directory,
    ExternalAccount,
    IssuedChain,
    Order,
    OrderStatus,
)
from certmill.acme.session import KeySource
from certmill.clock import Clock
from certmill.errors import CertmillError, OrderGone, OrderNotReady
from certmill.model.issuer import Issuer
from certmill.model.names import Identifier
from certmill.testing.trouble import Trouble

T = TypeVar("T")

_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """The arguments of a new order."""

    identifiers: tuple[Identifier, ...]
    profile: str
    not_after: datetime.datetime | None
    replaces: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCA:
    """Orders and authorizations by URL. `validates(type, name, token)` returns whether a challenge can be
    validated."""

    trouble: Trouble = field(default_factory=Trouble)

    clock: Clock
    validates: Callable[[str, str, str], bool]
    accounts: dict[str, str] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    authorizations: dict[str, Authorization] = field(default_factory=dict)
    chains: dict[str, str] = field(default_factory=dict)
    alternates: list[str] = field(default_factory=list)
    """The URLs of alternate chains that each certificate lists; a chain in `chains` can be downloaded
    there."""
    downloads: list[str] = field(default_factory=list)
    """The URLs of downloaded certificates, in order."""
    renewal_infos: list[str] = field(default_factory=list)
    """The certificates whose renewal information was requested, in order."""
    ordered: list[Ordered] = field(default_factory=list)
    """The arguments of the new orders, in order."""
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def client(self, issuer: Issuer, key_pem: bytes, account: str | None) -> AcmeClient:
        """Return a client for an account key (runs.ports.Clients)."""
        return cast("AcmeClient", MemoryAcmeClient(self, AccountKey.from_pem(key_pem)))

    def url(self, kind: str) -> str:
        """Return a new URL."""
        return f"https://ca.test/{kind}/{next(self._numbers)}"

    def issue(self, csr_der: bytes, *, issuer: str = "Memory CA") -> str:
        """Return a leaf for a CSR, as PEM."""
        csr = x509.load_der_x509_csr(csr_der)
        begins = datetime.datetime.fromtimestamp(
            self.clock.now() + self.trouble.valid_in_seconds, datetime.UTC
        )
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if self.trouble.other_names:
            names = x509.SubjectAlternativeName([x509.DNSName(name) for name in self.trouble.other_names])
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(self._key.public_key() if self.trouble.other_key else csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + datetime.timedelta(seconds=self.trouble.lifetime_seconds))
            .add_extension(names, critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


class MemoryAcmeClient:
    """The verbs of AcmeClient that the pipeline uses."""

    def __init__(self, ca: MemoryCA, key: AccountKey) -> None:
        self._ca = ca
        self._key = key

    def read_keys_from(self, keys: KeySource) -> None:
        """Does nothing: this CA accepts each key."""

    def directory(self) -> Directory:
        """Return a directory, with renewalInfo (RFC 9773) if `trouble` has an answer for it."""
        ari = "https://ca.test/ari" if self._ca.trouble.renewal_info is not None else ""
        return Directory(
            new_nonce="https://ca.test/nonce",
            new_account="https://ca.test/account",
            new_order="https://ca.test/order",
            renewal_info=ari,
        )

    def renewal_info(self, cert_id: str) -> RenewalInfo:
        """RFC 9773 §4.1: return the renewal information; the same for each certificate."""
        self._ca.renewal_infos.append(cert_id)
        found = self._ca.trouble.renewal_info
        if isinstance(found, CertmillError):
            raise found
        assert found is not None, "the directory has no renewalInfo"
        return found

    def new_account(
        self,
        *,
        email: str = "",
        external_account: ExternalAccount | None = None,
        only_return_existing: bool = False,
    ) -> Account:
        """RFC 8555 §7.3: the same key gives the same account."""
        existed = self._key.hash in self._ca.accounts
        url = self._ca.accounts.setdefault(self._key.hash, self._ca.url("account"))
        return Account(
            url=url,
            status=AccountStatus.VALID,
            contact=(f"mailto:{email}",) if email else (),
            existed=existed,
        )

    def account(self) -> Account:
        """RFC 8555 §7.3.3: return the account as it is."""
        return self.new_account()

    def update_account(self, *, email: str) -> Account:
        """RFC 8555 §7.3.2: set another contact for the same account."""
        return self.new_account(email=email)

    def new_order(
        self,
        identifiers: Sequence[Identifier],
        *,
        profile: str = "",
        not_after: datetime.datetime | None = None,
        replaces: str = "",
    ) -> Order:
        """RFC 8555 §7.4: create an order; each of its authorizations is pending."""
        asked = Ordered(
            identifiers=tuple(identifiers), profile=profile, not_after=not_after, replaces=replaces
        )
        self._ca.ordered.append(asked)
        expires = self._ca.clock.now() + 7 * _DAY
        authorizations = tuple(self._authorization(identifier, expires).url for identifier in identifiers)
        order = Order(
            url=self._ca.url("order"),
            status=OrderStatus.PENDING,
            identifiers=tuple(identifiers),
            authorizations=authorizations,
            finalize=self._ca.url("finalize"),
            expires=expires,
        )
        self._ca.orders[order.url] = order
        return order

    def order(self, url: str) -> Order:
        """Return the order. It is ready as soon as all its authorizations are valid."""
        order = self._found(self._ca.orders, url)
        if self._ca.trouble.issuance and order.status is OrderStatus.VALID:
            return replace(order, status=OrderStatus.PROCESSING, certificate="")
        statuses = {self._ca.authorizations[a].status for a in order.authorizations}
        if order.status is OrderStatus.PENDING and statuses == {AuthorizationStatus.VALID}:
            order = replace(order, status=OrderStatus.READY)
        elif order.status is OrderStatus.PENDING and AuthorizationStatus.INVALID in statuses:
            order = replace(order, status=OrderStatus.INVALID)
        self._ca.orders[url] = order
        return order

    def authorization(self, url: str) -> Authorization:
        """Return the authorization."""
        called, self._ca.trouble.before_next_authorization = self._ca.trouble.before_next_authorization, None
        if called is not None:
            called()
        if self._ca.trouble.down is not None:
            raise self._ca.trouble.down
        return self._found(self._ca.authorizations, url)

    def answer(self, challenge_url: str) -> Challenge:
        """Validate at once (RFC 8555 §7.5.1), unless `trouble` delays it."""
        for authorization in self._ca.authorizations.values():
            for challenge in authorization.challenges:
                if challenge.url == challenge_url:
                    return self._validated(authorization, challenge)
        raise OrderGone(f"no challenge at {challenge_url}")

    def finalize(self, finalize_url: str, csr_der: bytes) -> Order:
        """Issue at once. Raises OrderNotReady when the order is not ready, or was finalized."""
        order = self.order(next(o.url for o in self._ca.orders.values() if o.finalize == finalize_url))
        if order.status is not OrderStatus.READY:
            raise OrderNotReady(f"the order is {order.status}")
        url = self._ca.url("certificate")
        self._ca.chains[url] = self._ca.issue(csr_der)
        self._ca.orders[order.url] = replace(order, status=OrderStatus.VALID, certificate=url)
        return self.order(order.url)

    def certificate(self, url: str) -> IssuedChain:
        """Return the chain, with its `alternates` unless the URL is one of them."""
        self._ca.downloads.append(url)
        return IssuedChain(
            pem=self._found(self._ca.chains, url),
            alternates=() if url in self._ca.alternates else tuple(self._ca.alternates),
        )

    def _authorization(self, identifier: Identifier, expires: float) -> Authorization:
        token = f"token-{self._ca.url('t').rsplit('/', 1)[1]:0>20}"
        types = ("dns-01",) if identifier.is_wildcard else ("http-01", "dns-01")
        challenges = tuple(
            Challenge(type=t, url=self._ca.url("challenge"), token=token, status=ChallengeStatus.PENDING)
            for t in types
        )
        authorization = Authorization(
            url=self._ca.url("authorization"),
            identifier=Identifier(type=identifier.type, value=identifier.base),
            wildcard=identifier.is_wildcard,
            status=AuthorizationStatus.PENDING,
            challenges=challenges,
            expires=expires,
        )
        self._ca.authorizations[authorization.url] = authorization
        return authorization

    def _validated(self, authorization: Authorization, challenge: Challenge) -> Challenge:
        if authorization.status is not AuthorizationStatus.PENDING or self._ca.trouble.validation:
            return challenge
        valid = self._ca.validates(challenge.type, authorization.identifier.value, challenge.token)
        problem = None if valid else self._ca.trouble.problem
        answered = replace(
            challenge, status=ChallengeStatus.VALID if valid else ChallengeStatus.INVALID, error=problem
        )
        self._ca.authorizations[authorization.url] = replace(
            authorization,
            status=AuthorizationStatus.VALID if valid else AuthorizationStatus.INVALID,
            challenges=tuple(answered if c.url == challenge.url else c for c in authorization.challenges),
        )
        return answered

    def _found(self, where: dict[str, T], url: str) -> T:
        if url not in where:
            raise OrderGone(f"the CA does not know {url}")
        return where[url]
