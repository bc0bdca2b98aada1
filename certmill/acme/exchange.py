"""Signed requests to a CA (RFC 8555 §6.2, §6.3): POST with a nonce. After badNonce the request is sent again
with the nonce of the error response (§6.5)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Final, NoReturn

from certmill.acme import jws
from certmill.acme.actions import Action
from certmill.acme.jws import AccountKey
from certmill.acme.nonces import NoncePool
from certmill.acme.problems import RequestTarget, raise_error, read_problem
from certmill.acme.request_rates import RequestRates
from certmill.clock import Clock
from certmill.errors import CAUnavailable
from certmill.http.transport import Answer, Transport, host_of
from certmill.observe import recording

MAX_BAD_NONCES: Final = 10
"""Retries after badNonce for one request. RFC 8555 §6.5: "the client SHOULD retry the request with the new
nonce". Pebble refuses some nonces on purpose; a CA with several servers may refuse many."""
_HEADERS: Final = {"Content-Type": jws.CONTENT_TYPE}
NO_ANSWER: Final = 999
"""The status label in metrics of a request that got no answer, as in cert-manager."""
_OK: Final = (200, 201, 202, 204)


class Exchange:
    """Sends requests to one CA. Methods return successful answers only; every other answer is raised as an
    error."""

    def __init__(self, *, transport: Transport, nonces: NoncePool, rates: RequestRates, clock: Clock) -> None:
        self._transport = transport
        self._nonces = nonces
        self._rates = rates
        self._clock = clock

    def get(self, url: str, *, about: RequestTarget, what: str, action: Action) -> Answer:
        """An unsigned GET: directory and renewal information only (RFC 8555 §6.3, RFC 9773 §4.1)."""
        answer = self._ask("GET", url, action)
        self._nonces.put(answer.nonce)
        return answer if answer.status in _OK else self._fail(answer, about, what)

    def post(
        self,
        url: str,
        payload: Mapping[str, object] | bytes,
        *,
        key: AccountKey,
        kid: str | None,
        new_nonce: str,
        about: RequestTarget,
        what: str,
        action: Action,
    ) -> Answer:
        """A signed POST; an empty `payload` (b"") makes it a POST-as-GET (RFC 8555 §6.3).

        Raises the error that the answer means (acme.problems), and CAUnavailable after too many badNonce
        answers."""
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        nonce = self._nonces.take() or self._new_nonce(new_nonce)
        for _ in range(1 + MAX_BAD_NONCES):
            body = jws.sign(key, url=url, payload=content, kid=kid, nonce=nonce)
            answer = self._ask("POST", url, action, body=body)
            self._nonces.put(answer.nonce)
            if answer.status in _OK:
                return answer
            if read_problem(answer).type != "badNonce":
                self._fail(answer, about, what)
            # The pool returns the newest nonce: usually the one from this error response.
            nonce = self._nonces.take() or self._new_nonce(new_nonce)
        raise CAUnavailable(
            f"{host_of(url)} refused {1 + MAX_BAD_NONCES} nonces one after the other; trying again later"
        )

    def _new_nonce(self, url: str) -> str:
        """Get a nonce (RFC 8555 §7.2): HEAD newNonce; the nonce is in the header Replay-Nonce."""
        answer = self._ask("HEAD", url, Action.NEW_NONCE)
        if answer.status not in _OK:
            self._fail(answer, RequestTarget.ACCOUNT, "return a nonce")
        self._nonces.put(answer.nonce)
        nonce = self._nonces.take()
        if nonce is None:
            raise CAUnavailable(f"{host_of(url)} sent no nonce (header Replay-Nonce)")
        return nonce

    def _ask(self, method: str, url: str, action: Action, *, body: bytes | None = None) -> Answer:
        """Send one request when the CA's request rates allow it; count and time it in the metrics. Raises
        Busy."""
        self._rates.admit(action)
        began, status = time.perf_counter(), NO_ANSWER
        try:
            answer = self._transport.request(
                method, url, body=body, headers=_HEADERS if body is not None else None
            )
            status = answer.status
            return answer
        finally:
            seconds = time.perf_counter() - began
            recording.sink().acme_request(url, action=action, method=method, status=status, seconds=seconds)

    def _fail(self, answer: Answer, about: RequestTarget, what: str) -> NoReturn:
        raise_error(answer, about=about, what=what, now=self._clock.now())
