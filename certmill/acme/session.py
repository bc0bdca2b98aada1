"""The signed requests of one account to one CA: the directory, and the checks of every URL that the CA
sends."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final, Protocol
from urllib.parse import urljoin

from certmill.acme.actions import Action
from certmill.acme.answers import json_of
from certmill.acme.directories import DirectoryCache, Known
from certmill.acme.exchange import Exchange
from certmill.acme.jws import AccountKey
from certmill.acme.problems import RequestTarget
from certmill.acme.resources import Directory
from certmill.clock import Clock
from certmill.errors import AccountRefused, CAUnavailable, CertmillError, InvalidManifest
from certmill.http.transport import Answer, TlsTrust, host_of, url_mistake


class KeySource(Protocol):
    """Where an account's key is stored, while `certmill account rollover` may change it."""

    def other_key(self, used: AccountKey) -> AccountKey | None:
        """The stored key, or the one that is to replace it, if it is not `used`."""
        ...

    def accepted(self, key: AccountKey) -> None:
        """The CA has accepted this key instead of the one that was used before."""
        ...


_OF_OTHER_KEY: Final = ("malformed", "unauthorized", "badSignatureAlgorithm", "accountDoesNotExist")
"""The error types with which CAs answer a request that is signed by a former key of the account. RFC 8555
names none: Pebble and Boulder cannot verify the signature and answer `malformed`, or `badSignatureAlgorithm`
if the keys are of different types."""


class AccountSession:
    """The account's key, its URL (None before it is registered), and requests signed by it."""

    def __init__(
        self,
        *,
        server: str,
        key: AccountKey,
        account_uri: str | None,
        exchange: Exchange,
        directories: DirectoryCache,
        trust: TlsTrust,
        clock: Clock,
    ) -> None:
        self.server = server
        self.key = key
        self.account_uri = account_uri
        self.keys: KeySource | None = None
        self._exchange = exchange
        self._directories = directories
        self._trust = trust
        self._clock = clock

    def directory(self) -> Directory:
        """The CA's directory (RFC 8555 §7.1.1), at most an hour old. Raises InvalidManifest if `server` is
        not a valid URL."""
        return self._known().directory

    def get(self, url: str, *, what: str, action: Action) -> Answer:
        """An unsigned GET of renewal information (RFC 9773 §4.1)."""
        return self._exchange.get(self.checked(url), about=RequestTarget.NEW_ORDER, what=what, action=action)

    def _known(self) -> Known:
        now = self._clock.now()
        known = self._directories.get(self.server, self._trust, now=now)
        if known is not None:
            return known
        mistake = url_mistake(self.server)
        if mistake:
            raise InvalidManifest(mistake, path="spec.acme.server")
        answer = self._exchange.get(
            self.server, about=RequestTarget.DIRECTORY, what="return its directory", action=Action.DISCOVER
        )
        directory = Directory.from_json(json_of(answer))
        for url in directory.urls:
            self._require_usable(url)
        return self._directories.put(self.server, self._trust, directory, now=now)

    def post(
        self,
        url: str,
        payload: Mapping[str, object] | bytes,
        *,
        about: RequestTarget,
        what: str,
        action: Action,
        by_key: bool = False,
    ) -> Answer:
        """A signed request. The header names the account (`kid`), or with `by_key` contains the public key
        (`jwk`, RFC 8555 §6.2). If the account's key was changed meanwhile, the request is sent once more,
        signed by the new key."""
        send = partial(
            self._exchange.post,
            self.checked(url),
            payload,
            kid=None if by_key else self.kid(),
            new_nonce=self.directory().new_nonce,
            about=about,
            what=what,
            action=action,
        )
        try:
            return send(key=self.key)
        except CertmillError as error:
            other = self._other_key(error) if not by_key else None
            if other is None or self.keys is None:
                raise
            answer = send(key=other)
            self.key = other
            self.keys.accepted(other)
            return answer

    def _other_key(self, error: CertmillError) -> AccountKey | None:
        """The key to try after this error; None if there is none."""
        if self.keys is None or error.acme_type not in _OF_OTHER_KEY:
            return None
        return self.keys.other_key(self.key)

    def kid(self) -> str:
        """The account's URL (RFC 8555 §6.2). Raises AccountRefused if it is not registered yet."""
        if not self.account_uri:
            raise AccountRefused(f"no account is registered at {host_of(self.server)} yet")
        return self.account_uri

    def located(self, answer: Answer, what: str) -> str:
        """The URL of the created resource, from the header Location."""
        if not answer.location:
            raise CAUnavailable(f"{host_of(answer.url)} created {what} but sent no Location header")
        return self.joined(answer.url, answer.location)

    def joined(self, base: str, location: str) -> str:
        """The URL of a header Location, if requests may go there. Raises CAUnavailable if not."""
        try:
            url = urljoin(base, location)
        except ValueError:  # it is not a URL, as `checked` says
            url = location
        return self.checked(url)

    def checked(self, url: str) -> str:
        """`url`, if requests may go there. Raises CAUnavailable if not."""
        self._require_usable(url, self._known().hosts)
        return url

    def _require_usable(self, url: str, hosts: frozenset[str] | None = None) -> None:
        """`hosts`: those that requests may go to; None: any. Raises CAUnavailable."""
        mistake = url_mistake(url)
        if not mistake and hosts is not None and host_of(url) not in hosts:
            mistake = f"its host {host_of(url)} is not in the directory"
        if not mistake and self.server.startswith("https:") and not url.startswith("https:"):
            mistake = "it is http:, and the directory is https:"
        if mistake:
            raise CAUnavailable(f"{host_of(self.server)} sent a URL that certmill does not use: {mistake}")
