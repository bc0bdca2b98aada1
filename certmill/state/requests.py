"""What became of requests: accepted (and which run answers them), or refused, with a bounded list of the
refused."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, cast

import redis
from redis.exceptions import NoPermissionError

from certmill import contract
from certmill.errors import DamagedValue, NewerRelease
from certmill.model.names import CertificateId
from certmill.model.persisted import Codec
from certmill.state import keys
from certmill.state.server.connection import answering

KEPT_SECONDS = 3 * 24 * 3600
"""Longer than a CA's longest Retry-After, so that whoever waits still learns the end."""
KEPT_REJECTIONS = 1000
_MAX_TEXT = 500
_MOST_LOOKED_THROUGH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A request that was refused: when, whose (as far as it could be read), and why."""

    at: float
    request_id: str
    certificate: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A request that was accepted: run number `run` of the certificate answers it (0: nothing had to be
    done)."""

    certificate: CertificateId
    run: int


_ACCEPTANCE: Final = Codec(Acceptance)
_REJECTION: Final = Codec(Rejection, names={"request_id": "id"})


class Requests:
    """Requests in Redis. Every method raises StateUnavailable when Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @answering
    def accept(self, request_id: str, acceptance: Acceptance) -> None:
        """Remember which run answers this request."""
        self._redis.set(keys.request(request_id), _ACCEPTANCE.dump(acceptance), ex=KEPT_SECONDS)

    @answering
    def reject(self, rejection: Rejection) -> None:
        """Keep a refusal: for its sender, and in the bounded list."""
        kept = replace(
            rejection,
            request_id=rejection.request_id[:64],
            certificate=rejection.certificate[:320],
            reason=rejection.reason[:_MAX_TEXT],
        )
        body = _REJECTION.dump(kept)
        with self._redis.pipeline() as pipe:
            pipe.set(keys.request(rejection.request_id), body, ex=KEPT_SECONDS)
            pipe.lpush(keys.REJECTED, body)
            pipe.ltrim(keys.REJECTED, 0, KEPT_REJECTIONS - 1)
            pipe.execute()

    @answering
    def find(self, request_id: str) -> Acceptance | Rejection | None:
        """What became of a request; None: not handled yet, or days ago. Raises NewerRelease: it was handled,
        and is not to be again."""
        body = cast("str | None", self._redis.get(keys.request(request_id)))
        if body is None:
            return None
        with suppress(DamagedValue):
            return _ACCEPTANCE.load(body)
        with suppress(DamagedValue):
            return _REJECTION.load(body)
        return None

    @answering
    def is_queued(self, request_id: str) -> bool | None:
        """Whether its message waits on the queue; None if that is not to be found out: the queue is long, or
        this user may not look."""
        try:
            length = self._redis.llen(contract.REQUESTS_QUEUE)
            if not 0 < length <= _MOST_LOOKED_THROUGH:
                return None if length else False
            messages = cast("list[str]", self._redis.lrange(contract.REQUESTS_QUEUE, 0, _MOST_LOOKED_THROUGH))
        except NoPermissionError:
            return None
        return any(request_id in message for message in messages)

    @answering
    def rejections(self, limit: int = KEPT_REJECTIONS) -> list[Rejection]:
        """The refused requests, newest first; without those that this release cannot read."""
        found = []
        for body in cast("list[str]", self._redis.lrange(keys.REJECTED, 0, limit - 1)):
            with suppress(NewerRelease, DamagedValue):
                found.append(_REJECTION.load(body))
        return found
