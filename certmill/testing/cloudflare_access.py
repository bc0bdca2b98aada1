"""Who may use the fake Cloudflare: tokens, keys, permissions and the rate limit; and its errors."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from certmill.clock import Clock
from certmill.testing.cloudflare_server import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What a token may do. `zones`: the zone names that it may edit; None: all."""

    read_zones: bool = True
    edit_dns: bool = True
    zones: frozenset[str] | None = None

    def includes(self, zone: str) -> bool:
        return self.zones is None or zone in self.zones


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """The number of requests in a window; further requests get 429."""

    requests: int
    window_seconds: float = 300.0


class Refused(Exception):
    """An error in Cloudflare's form."""

    def __init__(
        self, status: int, code: int, message: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        error = {"code": code, "message": message}
        self.reply = envelope(None, status=status, errors=[error], headers=headers)


class Access:
    """The credentials that the API accepts, and how many requests. Used under the lock of the API."""

    def __init__(
        self,
        *,
        tokens: Mapping[str, Permissions],
        keys: Mapping[str, str],
        rate_limit: RateLimit | None,
        clock: Clock,
    ) -> None:
        self.tokens = dict(tokens)
        self.keys = dict(keys)
        self.rate_limit = rate_limit
        self._clock = clock
        self._recent: deque[float] = deque()

    def check(self, headers: Mapping[str, str]) -> Permissions:
        """Return what the request's credentials may do. Raises Refused, also for too many requests."""
        self._count()
        return self._authenticate(headers)

    def _count(self) -> None:
        if self.rate_limit is None:
            return
        now = self._clock.now()
        while self._recent and self._recent[0] <= now - self.rate_limit.window_seconds:
            self._recent.popleft()
        if len(self._recent) >= self.rate_limit.requests:
            wait = max(1, round(self._recent[0] + self.rate_limit.window_seconds - now))
            raise Refused(
                429,
                971,
                "Please wait and consider throttling your request speed",
                headers={"Retry-After": str(wait)},
            )
        self._recent.append(now)

    def _authenticate(self, headers: Mapping[str, str]) -> Permissions:
        authorization, email, key = (
            headers.get(name) for name in ("Authorization", "X-Auth-Email", "X-Auth-Key")
        )
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            if (
                scheme != "Bearer"
                or not token
                or not all(character.isalnum() or character in "_-" for character in token)
            ):
                raise Refused(400, 6003, "Invalid request headers")
            if token not in self.tokens:
                raise Refused(403, 9109, "Invalid access token")
            return self.tokens[token]
        if email is None or key is None:
            raise Refused(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
        if self.keys.get(email) != key:
            raise Refused(403, 9103, "Unknown X-Auth-Key or X-Auth-Email")
        return Permissions()


def envelope(
    result: object,
    *,
    status: int = 200,
    errors: Sequence[object] = (),
    info: Mapping[str, int] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Return a reply in Cloudflare's form."""
    body = {"success": not errors, "errors": errors, "messages": [], "result": result} | (
        {"result_info": info} if info else {}
    )
    return Reply(
        status=status,
        body=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **(headers or {})},
    )
