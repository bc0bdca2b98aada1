"""Transport: send one HTTP request and read the whole answer, for CAs, Cloudflare and DNS over HTTPS.

Time and size are limited, TLS is verified, redirects are not followed, and every failure is a NoAnswer. It
uses urllib3 directly: `requests` needs twice the CPU, and its environment variable REQUESTS_CA_BUNDLE would
override an Issuer's caBundle."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3
from cachetools import LRUCache
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)

from certmill.clock import Clock, SystemClock
from certmill.errors import CAUnavailable, InvalidManifest
from certmill.http import headers as response_headers
from certmill.http.connection import POOLS, PROXIED_POOLS
from certmill.version import __version__

CONNECT_SECONDS: Final = 5.0
MAX_ANSWER_BYTES: Final = 1_048_576
_CHUNK_BYTES: Final = 65_536
_CONNECTIONS_PER_CA: Final = 64
_MOST_POOLS: Final = 64
"""Issuers can change their caBundle without limit, so the number of pools is bounded."""
_MAX_URL_CHARACTERS: Final = 2048
_NOT_IN_A_URL: Final = re.compile(r"[\x00-\x20\x7f]")
USER_AGENT: Final = f"certmill/{__version__} (+ACME client; urllib3/{urllib3.__version__})"  # type: ignore[attr-defined] # not in its __all__
"""RFC 8555 §6.1: "ACME clients MUST send a User-Agent header field"; it should name the client's software and
the HTTP library, with versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsTrust:
    """The trusted roots of a server. `ca_bundle` (PEM): only these; None: the system's and Mozilla's roots.
    `skip_verify`: no verification."""

    ca_bundle: bytes | None = None
    skip_verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response of any status. `retry_after`: seconds from now."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    retry_after: float | None = None

    @property
    def nonce(self) -> str | None:
        """The header Replay-Nonce; error responses have it too (RFC 8555 §6.5)."""
        return self.headers.get("Replay-Nonce")

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")

    def links(self, relation: str) -> tuple[str, ...]:
        """The targets of a link relation, as absolute URLs."""
        return response_headers.links(self.headers, relation, base=self.url)


class NoAnswer(CAUnavailable):
    """The server sent no answer, or not a complete one. The parts of the message are attributes, because
    dns01 words it differently than for a CA."""

    def __init__(self, host: str, why: str, *, within_seconds: float | None = None, advice: str = "") -> None:
        within = f" within {within_seconds:g} s" if within_seconds is not None else ""
        super().__init__(f"{host} {why}{within}" + (f"; {advice}" if advice else ""))
        self.why = why
        """Only the reason, such as "did not answer". It is the same text for each request."""
        self.without_advice = f"{host} {why}{within}"
        """The message without the advice, which is about CAs."""


class Connections:
    """Pools of keep-alive connections, shared by all clients of a process. Thread-safe. Create it after a
    fork, not before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: LRUCache[tuple[TlsTrust, str | None], urllib3.PoolManager] = LRUCache(_MOST_POOLS)

    def pools(self, url: str, trust: TlsTrust) -> urllib3.PoolManager:
        """The connection pools for `trust`, through the environment's proxy if `url` needs one."""
        proxy = _proxy_for(url)
        with self._lock:
            if (trust, proxy) not in self._pools:
                self._pools[trust, proxy] = _make_pools(trust, proxy)
            return self._pools[trust, proxy]

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            for pools in self._pools.values():
                pools.clear()
            self._pools.clear()


class Transport:
    """Sends requests with one trust. Every failure is a NoAnswer. Its message names the host, and the port if
    the connection was refused; it contains no address and no text of a library."""

    def __init__(
        self,
        *,
        trust: TlsTrust,
        connections: Connections | None = None,
        timeout_seconds: float = 30.0,
        user_agent: str = USER_AGENT,
        clock: Clock | None = None,
    ) -> None:
        self._trust = trust
        self._shared = connections is not None
        self._connections = connections or Connections()
        self._timeout_seconds = timeout_seconds
        self._timeout = urllib3.Timeout(
            connect=min(CONNECT_SECONDS, timeout_seconds), read=timeout_seconds, total=timeout_seconds
        )
        self._headers = {"User-Agent": user_agent, "Accept-Language": "en"}
        self._clock = clock or SystemClock()
        self._pools: urllib3.PoolManager | None = None

    def request(
        self, method: str, url: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request and return the answer, whatever its status. The time-out covers everything except
        the system's DNS look-up of the host.

        Raises NoAnswer (connection, time-out, size), InvalidManifest (caBundle)."""
        if self._pools is None:
            self._pools = self._connections.pools(url, self._trust)
        host = host_of(url)
        try:
            response = self._pools.urlopen(
                method,
                url,
                redirect=False,
                body=body,
                headers={**self._headers, **(headers or {})},
                timeout=self._timeout,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
            content = self._read(response, host)
        except (HTTPError, OSError) as error:
            # `from None`: the library's message has ports and object addresses, which change each time.
            raise _no_answer(url, error, self._timeout_seconds) from None
        seconds = response_headers.retry_after(response.headers, now=self._clock.now())
        return Answer(
            url=url, status=response.status, headers=response.headers, body=content, retry_after=seconds
        )

    def _read(self, response: urllib3.BaseHTTPResponse, host: str) -> bytes:
        """Read the whole body."""
        content = b""
        try:
            while chunk := response.read1(_CHUNK_BYTES):
                content = content + chunk if content else chunk
                if len(content) > MAX_ANSWER_BYTES:
                    response.close()
                    raise NoAnswer(host, f"answered more than {MAX_ANSWER_BYTES} bytes")
        except ReadTimeoutError:
            raise NoAnswer(host, "did not finish its answer", within_seconds=self._timeout_seconds) from None
        response.release_conn()
        return content

    def close(self) -> None:
        """Close idle connections, unless they are shared."""
        if not self._shared:
            self._connections.close()


def host_of(url: str) -> str:
    """The host of a URL, for messages."""
    return urlsplit(url).hostname or "the CA"


def _port_of(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (80 if parts.scheme == "http" else 443)


def url_mistake(url: str) -> str:
    """Why certmill sends no request to `url`; "" if the URL is valid."""
    if len(url) > _MAX_URL_CHARACTERS or not url.isascii() or _NOT_IN_A_URL.search(url):
        return "it is too long, or has characters that a URL cannot have"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "it is not a URL"
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return "it is not an https:// URL"
    return "it has a user name or a fragment" if "@" in parts.netloc or "#" in url else ""


def _proxy_for(url: str) -> str | None:
    """The proxy for `url` by HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment; None without one."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    return None if not proxy or proxy_bypass(parts.hostname or "") else proxy


def _make_pools(trust: TlsTrust, proxy: str | None) -> urllib3.PoolManager:
    context = _ssl_context(trust)
    if trust.skip_verify:
        # The Issuer has skipTLSVerify, so urllib3's warning for each request is not useful.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if proxy is None:
        pools = urllib3.PoolManager(num_pools=16, maxsize=_CONNECTIONS_PER_CA, ssl_context=context)
        pools.pool_classes_by_scheme = POOLS
        return pools
    user = urlsplit(proxy)
    login = f"{user.username}:{user.password or ''}" if user.username else None
    authorization = urllib3.make_headers(proxy_basic_auth=login) if login else None
    pools = urllib3.ProxyManager(
        proxy, proxy_headers=authorization, num_pools=16, maxsize=_CONNECTIONS_PER_CA, ssl_context=context
    )
    pools.pool_classes_by_scheme = PROXIED_POOLS
    return pools


# Loading the roots takes 20 ms or more, so all connections of a trust share one context.
@lru_cache(maxsize=64)
def _ssl_context(trust: TlsTrust) -> ssl.SSLContext:
    if trust.skip_verify:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if trust.ca_bundle is None:
        context = ssl.create_default_context()
        # A slim container image has no system roots.
        context.load_verify_locations(certifi.where())
        return context
    try:
        return ssl.create_default_context(cadata=trust.ca_bundle.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise InvalidManifest("it is not a bundle of PEM certificates", path="spec.acme.caBundle") from None


def _no_answer(url: str, error: HTTPError | OSError, timeout_seconds: float) -> NoAnswer:
    host = host_of(url)
    within: float | None = None
    match error:
        case NameResolutionError():
            why = "has no address: its name cannot be resolved"
        case NewConnectionError():
            cause = error.__cause__ or error.__context__
            reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else "no connection"
            why = f"cannot be connected to on port {_port_of(url)} ({reason.lower()})"
        case ConnectTimeoutError():  # the base class of the former two
            why, within = "accepts no connection", min(CONNECT_SECONDS, timeout_seconds)
        case ReadTimeoutError():
            why, within = "did not answer", timeout_seconds
        case urllib3.exceptions.SSLError():
            return _no_tls(host, error)
        case urllib3.exceptions.ProxyError():
            why = "cannot be reached through the proxy of the environment (HTTPS_PROXY)"
        case _:
            why = "cut the connection before its answer was complete"
    return NoAnswer(host, why, within_seconds=within)


def _no_tls(host: str, error: urllib3.exceptions.SSLError) -> NoAnswer:
    cause = error.args[0] if error.args else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = f"has a TLS certificate that cannot be verified ({cause.verify_message.rstrip('.')})"
        return NoAnswer(host, why, advice="if it is a private CA, put its root into spec.acme.caBundle")
    return NoAnswer(host, "failed the TLS handshake", advice="check that spec.acme.server is right")
