"""A CA for tests that fails on demand. It is a proxy in front of a real CA (Pebble): it answers some requests
itself, drops others, or refuses connections.

    with FaultyCA(upstream=pebble.directory_url, upstream_ca=pebble.ca_bundle) as ca:
        ca.break_with(Fault(status=503, headers={"Retry-After": "2"}), on="/order", times=3)

Without an upstream it answers with the configured faults, and 404 for all other requests. It serves HTTPS, as
ACME requires (RFC 8555 §6.1); clients verify it with `ca_bundle`.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self
from urllib.parse import urlsplit

import urllib3

from certmill.testing.faulty_server import Fault, Server, reserved, server_context
from certmill.testing.localhost import make_local_tls

_DROPPED_ANSWER_HEADERS = {"connection", "transfer-encoding", "content-length", "date"}
_UPSTREAM_SECONDS = 60.0

__all__ = ["Fault", "FaultyCA"]


@dataclass(slots=True, kw_only=True)
class _Rule:
    fault: Fault
    on: str
    method: str
    times: int | None
    """How many more times it applies; None: always."""
    payload: str = ""

    def take(self, method: str, path: str, body: bytes) -> bool:
        if self.times == 0 or self.on not in path or self.method not in ("", method):
            return False
        if self.payload and self.payload not in _payload(body):
            return False
        self.times = None if self.times is None else self.times - 1
        return True

    def give_back(self) -> None:
        self.times = None if self.times is None else self.times + 1


class FaultyCA:
    """A CA on a free port of loopback. Safe for many threads. `requests` has (method, path) in the order of
    arrival."""

    def __init__(self, *, upstream: str = "", upstream_ca: bytes | None = None) -> None:
        self._upstream = urlsplit(upstream)
        context = ssl.create_default_context(cadata=upstream_ca.decode()) if upstream_ca else None
        self._pools = urllib3.PoolManager(ssl_context=context, maxsize=32)
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self._healed = threading.Event()
        self._server: Server | None = None
        self._place = reserved()
        self._port = int(self._place.getsockname()[1])
        tls = make_local_tls()
        self.ca_bundle = tls.ca
        self._context = server_context(tls.certificate, tls.key)
        self.requests: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    @property
    def directory_url(self) -> str:
        return f"{self.url}{self._upstream.path or '/directory'}"

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop for good."""
        self.heal()
        self.down()
        self._place.close()
        self._pools.clear()

    def break_with(
        self, fault: Fault, *, on: str = "", method: str = "", times: int | None = None, payload: str = ""
    ) -> None:
        """Apply the fault to the next `times` requests (None: all) whose path contains `on`, whose method is
        `method` ("": any) and whose payload contains `payload`. If several faults apply, the latest is used.
        """
        with self._lock:
            self._healed.clear()
            self._rules.insert(0, _Rule(fault=fault, on=on, method=method, times=times, payload=payload))

    def heal(self) -> None:
        """Remove all faults, and end the requests that hang."""
        with self._lock:
            self._rules.clear()
        self._healed.set()

    def down(self) -> None:
        """Close connections and refuse new ones until up()."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def up(self) -> None:
        """Listen, on the same port as before."""
        if self._server is not None:
            return
        self._server = Server(("127.0.0.1", self._port), self)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Fault:
        """Record a request, and return its answer: from a fault, or from upstream."""
        with self._lock:
            self.requests.append((method, path))
            rule = next((rule for rule in self._rules if rule.take(method, path, body)), None)
        if rule is not None and not rule.fault.relay:
            return rule.fault
        relayed = self.relay(method, path, headers, body)
        if rule is not None and relayed.status < HTTPStatus.BAD_REQUEST:
            return rule.fault
        if rule is not None:
            with self._lock:
                rule.give_back()
        return relayed

    def hang(self, seconds: float) -> bool:
        """Wait; return True as soon as heal() is called."""
        return self._healed.wait(seconds)

    def relay(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Fault:
        """Return upstream's answer. Upstream gets our Host header, so its URLs lead here."""
        if not self._upstream.netloc:
            return Fault(status=404)
        url = f"{self._upstream.scheme}://{self._upstream.netloc}{path}"
        try:
            answer = self._pools.request(
                method,
                url,
                body=body or None,
                headers=dict(headers),
                redirect=False,
                retries=False,
                timeout=_UPSTREAM_SECONDS,
            )
        except urllib3.exceptions.HTTPError:
            return Fault(cut=True)
        kept = {
            name: value
            for name, value in answer.headers.items()
            if name.lower() not in _DROPPED_ANSWER_HEADERS
        }
        return Fault(status=answer.status, headers=kept, body=answer.data)

    def wrap(self, connection: socket.socket) -> socket.socket:
        """Wrap the connection in TLS; the handshake happens in the connection's own thread."""
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)


def _payload(body: bytes) -> str:
    """Return the payload of a request (RFC 8555 §6.2: a flattened JWS); "" if there is none."""
    try:
        encoded = str(json.loads(body)["payload"])
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode("utf-8", "replace")
    except (ValueError, KeyError, TypeError):
        return ""
