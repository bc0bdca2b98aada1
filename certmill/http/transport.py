"""One HTTP request to a CA and its whole answer: bounded in time and size, TLS verified, redirects not
followed, errors mapped. So are the requests of dns01 to Cloudflare and to servers of DNS over HTTPS.

On urllib3 itself: `requests` costs twice the CPU, and lets REQUESTS_CA_BUNDLE of the environment overrule an
Issuer's caBundle."""

from __future__ import annotations

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
"""Of different trusts: a caBundle may be large, and who may change an issuer may change it for ever."""
_MAX_URL_CHARACTERS: Final = 2048
USER_AGENT: Final = f"certmill/{__version__} (+ACME client; urllib3/{urllib3.__version__})"  # type: ignore[attr-defined] # not in its __all__
"""RFC 8555 §6.1: a client MUST send one; the software's name and version, and those of the HTTP library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsTrust:
    """Whom to believe that it is the CA: `ca_bundle` (PEM) alone, else the system's and Mozilla's roots;
    `skip_verify`: anybody."""

    ca_bundle: bytes | None = None
    skip_verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response, of any status. `retry_after` is in seconds."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    retry_after: float | None = None

    @property
    def nonce(self) -> str | None:
        """Replay-Nonce, in errors as well (RFC 8555 §6.5)."""
        return self.headers.get("Replay-Nonce")

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")

    def links(self, relation: str) -> tuple[str, ...]:
        """The targets of a Link relation, absolute."""
        return response_headers.links(self.headers, relation, base=self.url)


class NoAnswer(CAUnavailable):
    """There was no answer, or not the whole of one. For those who ask another server than a CA (dns01), what
    is said of it in its parts."""

    def __init__(self, host: str, why: str, *, within_seconds: float | None = None, advice: str = "") -> None:
        within = f" within {within_seconds:g} s" if within_seconds is not None else ""
        super().__init__(f"{host} {why}{within}" + (f"; {advice}" if advice else ""))
        self.why = why
        """The reason alone, which stays the same from request to request: "did not answer"."""
        self.without_advice = f"{host} {why}{within}"
        """The message without what to do about a CA."""


class Connections:
    """Connections that are kept alive, for all clients of a process. Safe from many threads; make it after a
    fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[tuple[TlsTrust, str | None], urllib3.PoolManager] = {}

    def pools(self, url: str, trust: TlsTrust) -> urllib3.PoolManager:
        """The pools for that trust, through the environment's proxy if there is one for `url`."""
        proxy = _proxy_for(url)
        with self._lock:
            if (trust, proxy) not in self._pools:
                if len(self._pools) >= _MOST_POOLS:
                    self._pools.clear()
                self._pools[trust, proxy] = _make_pools(trust, proxy)
            return self._pools[trust, proxy]

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            for pools in self._pools.values():
                pools.clear()
            self._pools.clear()


class Transport:
    """Requests to one CA. Every error is a NoAnswer that names the host, and neither address nor library; the
    port where it is refused."""

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
        """One request; an answer of any status, all of it within the time-out, but for the system's look-up
        of the name.

        Raises NoAnswer (connection, time-out, size), InvalidManifest (caBundle).
        """
        if self._pools is None:
            self._pools = self._connections.pools(url, self._trust)
        host = host_of(url)
        try:
            response = self._pools.request(
                method,
                url,
                body=body,
                headers={**self._headers, **(headers or {})},
                timeout=self._timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            content = self._read(response, host)
        except (HTTPError, OSError) as error:
            # `from None`: the library's text has ports and addresses of objects, which change each time.
            raise _no_answer(url, error, self._timeout_seconds) from None
        seconds = response_headers.retry_after(response.headers, now=self._clock.now())
        return Answer(
            url=url, status=response.status, headers=response.headers, body=content, retry_after=seconds
        )

    def _read(self, response: urllib3.BaseHTTPResponse, host: str) -> bytes:
        """The whole body."""
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
    """The host, for messages."""
    return urlsplit(url).hostname or "the CA"


def _port_of(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (80 if parts.scheme == "http" else 443)


def url_mistake(url: str) -> str:
    """Why `url` is none that a request may go to; "" if it may."""
    if (
        len(url) > _MAX_URL_CHARACTERS
        or not url.isascii()
        or any(character <= " " or character == "\x7f" for character in url)
    ):
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
    """HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    return None if not proxy or proxy_bypass(parts.hostname or "") else proxy


def _make_pools(trust: TlsTrust, proxy: str | None) -> urllib3.PoolManager:
    context = _ssl_context(trust)
    if trust.skip_verify:
        # The Issuer says so (skipTLSVerify); a warning for each request would say no more.
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


# Loading the roots takes 20 ms and more; a context is shared by any number of connections.
@lru_cache(maxsize=64)
def _ssl_context(trust: TlsTrust) -> ssl.SSLContext:
    if trust.skip_verify:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if trust.ca_bundle is None:
        context = ssl.create_default_context()
        # A slim container has no roots of its own.
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
        why = f"shows a TLS certificate that cannot be verified ({cause.verify_message.rstrip('.')})"
        return NoAnswer(host, why, advice="if it is a private CA, put its root into spec.acme.caBundle")
    return NoAnswer(host, "does not speak TLS as it should", advice="see that spec.acme.server is right")
