"""AcmeClient: the requests of ACME (RFC 8555 §7, RFC 9773). Each method sends one request, and one more if it
needs a nonce or the directory.

The client checks what a CA sends before it uses it: requests go only to the host of the directory and to
hosts that the directory names, and never from https to http; an order must contain exactly the requested
identifiers; a certificate must be PEM and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from certmill.acme import jws
from certmill.acme.actions import Action
from certmill.acme.answers import chain_of, json_of
from certmill.acme.ari import RenewalInfo, is_cert_id
from certmill.acme.directories import DirectoryCache
from certmill.acme.exchange import Exchange
from certmill.acme.identifiers import canonical, names_text
from certmill.acme.jws import AccountKey
from certmill.acme.nonces import NoncePool
from certmill.acme.problems import AcmeProblem, RequestTarget
from certmill.acme.request_rates import RequestRates
from certmill.acme.resources import (
    Account,
    Authorization,
    Challenge,
    Directory,
    ExternalAccount,
    IssuedChain,
    Order,
)
from certmill.acme.session import AccountSession, KeySource
from certmill.clock import Clock, SystemClock
from certmill.errors import AccountRefused, CertmillError, OrderRefused
from certmill.http.transport import USER_AGENT, Answer, Connections, TlsTrust, Transport, host_of
from certmill.model.names import Identifier

_MAX_ALTERNATES: Final = 8


class AcmeClient:
    """An ACME client for one account, process and thread. What it is given can be shared by many.

    Every method can raise CAUnavailable, RateLimited, AccountRefused and Busy. Docstrings name the others."""

    def __init__(  # noqa: PLR0913 - all by name, most with a default
        self,
        *,
        server: str,
        key: AccountKey,
        nonces: NoncePool,
        directories: DirectoryCache,
        rates: RequestRates | None = None,
        account_uri: str | None = None,
        trust: TlsTrust | None = None,
        connections: Connections | None = None,
        timeout_seconds: float = 30.0,
        user_agent: str = USER_AGENT,
        clock: Clock | None = None,
    ) -> None:
        trust, clock, rates = trust or TlsTrust(), clock or SystemClock(), rates or RequestRates(server)
        self._transport = Transport(
            trust=trust,
            connections=connections,
            timeout_seconds=timeout_seconds,
            user_agent=user_agent,
            clock=clock,
        )
        self._session = AccountSession(
            server=server,
            key=key,
            account_uri=account_uri,
            exchange=Exchange(transport=self._transport, nonces=nonces, rates=rates, clock=clock),
            directories=directories,
            trust=trust,
            clock=clock,
        )

    @property
    def account_uri(self) -> str | None:
        """The account's URL; None before it is registered."""
        return self._session.account_uri

    def read_keys_from(self, keys: KeySource) -> None:
        """Read the account's key again from `keys` when the CA does not accept it."""
        self._session.keys = keys

    def directory(self) -> Directory:
        """The CA's directory (RFC 8555 §7.1.1), at most an hour old. Raises InvalidManifest if `server` is
        not a valid URL."""
        return self._session.directory()

    def new_account(
        self,
        *,
        email: str = "",
        external_account: ExternalAccount | None = None,
        only_return_existing: bool = False,
    ) -> Account:
        """Register the account key and agree to the terms of service, or find the existing account (RFC 8555
        §7.3, §7.3.1). Later requests use this account."""
        url = self.directory().new_account
        payload: dict[str, object] = {"termsOfServiceAgreed": True}
        if only_return_existing:
            payload["onlyReturnExisting"] = True
        if email:
            payload["contact"] = [f"mailto:{email}"]
        if external_account is not None:
            binding = jws.bind_external_account(
                self._session.key, key_id=external_account.key_id, mac_key=external_account.mac_key, url=url
            )
            payload["externalAccountBinding"] = json.loads(binding)
        try:
            target, action = RequestTarget.ACCOUNT, Action.REGISTER_ACCOUNT
            answer = self._session.post(
                url, payload, about=target, what="register the account", by_key=True, action=action
            )
        except AccountRefused as error:
            return self._conflicting(error)
        url = self._session.account_uri = self._session.located(answer, "an account")
        body = json_of(answer) if answer.body else {}
        return Account.from_json(body, url=url, existed=answer.status == 200)

    def account(self) -> Account:
        """The account's current state at the CA (RFC 8555 §7.3.3, POST-as-GET)."""
        return self._account(b"", "return the state of the account", Action.GET_REGISTRATION)

    def update_account(self, *, email: str) -> Account:
        """Replace the account's contact (RFC 8555 §7.3.2); "" removes it."""
        return self._account(
            {"contact": [f"mailto:{email}"] if email else []},
            "change the contact of the account",
            Action.UPDATE_REGISTRATION,
        )

    def deactivate_account(self) -> Account:
        """Deactivate the account permanently (RFC 8555 §7.3.6)."""
        return self._account({"status": "deactivated"}, "deactivate the account", Action.DEACTIVATE_ACCOUNT)

    def change_key(self, new_key: AccountKey) -> None:
        """Replace the account's key (RFC 8555 §7.3.5), and check that the CA uses the new one. Raises
        AccountRefused if the new key belongs to another account already.

        In that case Pebble 2.10 answers 200 and keeps the old key. Other CAs answer 409; then the error's
        cause has the URL of the other account in `location`."""
        url = self.directory().key_change
        if not url:
            raise AccountRefused(f"{host_of(self._session.server)} does not support changing an account key")
        inner = jws.roll_over(self._session.key, new_key, account_uri=self._session.kid(), url=url)
        what, action = "change the key of the account", Action.CHANGE_KEY
        self._session.post(url, inner, about=RequestTarget.ACCOUNT, what=what, action=action)
        old, self._session.key = self._session.key, new_key
        try:
            self.account()
        except CertmillError:
            self._session.key = old
            raise

    def new_order(
        self,
        identifiers: Sequence[Identifier],
        *,
        profile: str = "",
        not_after: datetime | None = None,
        replaces: str = "",
    ) -> Order:
        """Create an order (RFC 8555 §7.4). `replaces` is the ARI identifier of the previous certificate (RFC
        9773 §5). Raises NameRefused, OrderRefused."""
        payload = _order_payload(identifiers, profile, not_after, replaces)
        names = names_text(identifiers)
        answer = self._session.post(
            self.directory().new_order,
            payload,
            about=RequestTarget.NEW_ORDER,
            what=f"create an order for {names}",
            action=Action.AUTHORIZE_ORDER,
        )
        order = Order.from_json(
            json_of(answer), url=self._session.located(answer, "an order"), retry_after=answer.retry_after
        )
        if {canonical(one) for one in order.identifiers} != {canonical(one) for one in identifiers}:
            raise OrderRefused(
                f"{host_of(self._session.server)} created an order for {names_text(order.identifiers)}, but "
                f"{names} was requested"
            )
        return order

    def order(self, url: str) -> Order:
        """The order's current state. Raises OrderGone."""
        answer = self._resource(url, b"", "return the state of the order", Action.GET_ORDER)
        return Order.from_json(json_of(answer), url=url, retry_after=answer.retry_after)

    def authorization(self, url: str) -> Authorization:
        """The authorization's current state (RFC 8555 §7.5). Raises OrderGone."""
        answer = self._resource(url, b"", "return the state of the authorization", Action.GET_AUTHORIZATION)
        return Authorization.from_json(json_of(answer), url=url, retry_after=answer.retry_after)

    def answer(self, challenge_url: str) -> Challenge:
        """Tell the CA that the challenge is set up (RFC 8555 §7.5.1). Raises OrderGone; and OrderRefused, at
        some CAs, if the challenge was answered before."""
        return Challenge.from_json(
            json_of(self._resource(challenge_url, {}, "validate the challenge", Action.ACCEPT_CHALLENGE))
        )

    def deactivate_authorization(self, url: str) -> Authorization:
        """Deactivate an authorization (RFC 8555 §7.5.2). Raises OrderGone, OrderRefused."""
        answer = self._resource(
            url, {"status": "deactivated"}, "deactivate the authorization", Action.DEACTIVATE_AUTHORIZATION
        )
        return Authorization.from_json(json_of(answer), url=url)

    def finalize(self, finalize_url: str, csr_der: bytes) -> Order:
        """Send the CSR (RFC 8555 §7.4). The returned order's `url` is "" if the answer has no Location
        header. Raises OrderNotReady, OrderRefused, OrderGone."""
        answer = self._resource(
            finalize_url, {"csr": jws.b64url(csr_der)}, "issue the certificate", Action.CREATE_ORDER_CERT
        )
        return Order.from_json(json_of(answer), url=answer.location, retry_after=answer.retry_after)

    def certificate(self, url: str) -> IssuedChain:
        """Download the certificate chain (RFC 8555 §7.4.2). Call this again with a URL of `alternates` to get
        another chain. Raises OrderGone."""
        answer = self._resource(url, b"", "return the certificate", Action.FETCH_CERT)
        return IssuedChain(pem=chain_of(answer), alternates=answer.links("alternate")[:_MAX_ALTERNATES])

    def revoke(self, certificate_der: bytes, *, reason: int | None = None, by_key: bool = False) -> bool:
        """Revoke a certificate of this account, or with `by_key` of this key (RFC 8555 §7.6; `reason`: RFC
        5280 §5.3.1). Returns False if it was revoked already. Raises OrderRefused, NameRefused."""
        url = self.directory().revoke_cert
        if not url:
            raise OrderRefused(f"{host_of(self._session.server)} does not support revocation")
        payload: dict[str, object] = {"certificate": jws.b64url(certificate_der)}
        if reason is not None:
            payload["reason"] = reason
        try:
            target, action, what = RequestTarget.NEW_ORDER, Action.REVOKE_CERT, "revoke the certificate"
            self._session.post(url, payload, about=target, what=what, action=action, by_key=by_key)
        except OrderRefused as error:
            if error.acme_type != "alreadyRevoked":
                raise
            return False
        return True

    def renewal_info(self, cert_id: str) -> RenewalInfo:
        """The renewal window that the CA suggests (RFC 9773 §4.1). Raises OrderRefused if the CA has no ARI,
        or has no information about this certificate."""
        url = self.directory().renewal_info
        if not url or not is_cert_id(cert_id):
            no_ari = f"{host_of(self._session.server)} does not support renewal information (ARI)"
            raise OrderRefused(no_ari if not url else "this is not a valid ARI certificate identifier")
        answer = self._session.get(
            f"{url.rstrip('/')}/{cert_id}",
            what="return the renewal information of the certificate",
            action=Action.GET_RENEWAL_INFO,
        )
        return RenewalInfo.from_json(json_of(answer), retry_after=answer.retry_after)

    def close(self) -> None:
        """Close this client's connections, unless they are shared."""
        self._transport.close()

    def _resource(self, url: str, payload: Mapping[str, object] | bytes, what: str, action: Action) -> Answer:
        return self._session.post(url, payload, about=RequestTarget.RESOURCE, what=what, action=action)

    def _account(self, payload: Mapping[str, object] | bytes, what: str, action: Action) -> Account:
        url = self._session.kid()
        return Account.from_json(
            json_of(self._session.post(url, payload, about=RequestTarget.ACCOUNT, what=what, action=action)),
            url=url,
        )

    def _conflicting(self, error: AccountRefused) -> Account:
        """RFC 8555 §7.3.1 requires 200 if the key is registered already. Some CAs answer 409, with the
        account's URL in Location."""
        cause = error.__cause__
        if not isinstance(cause, AcmeProblem) or cause.status != 409 or not cause.location:
            raise error
        self._session.account_uri = self._session.joined(self._session.server, cause.location)
        return self.account()


def _order_payload(
    identifiers: Sequence[Identifier], profile: str, not_after: datetime | None, replaces: str
) -> dict[str, object]:
    """The body of newOrder (RFC 8555 §7.4; `replaces`: RFC 9773 §5; `profile`: the ACME profiles draft)."""
    payload: dict[str, object] = {
        "identifiers": [{"type": str(wanted.type), "value": wanted.value} for wanted in identifiers]
    }
    if profile:
        payload["profile"] = profile
    if not_after is not None:
        payload["notAfter"] = not_after.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if replaces:
        payload["replaces"] = replaces
    return payload
