"""Stores the results of requests in Redis: accepted, with the run that satisfies the request, or refused. A
bounded list contains the refused requests."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, cast

import redis
from redis.exceptions import NoPermissionError

from certmill import contract
from certmill.errors import DamagedValue, NewerRelease
from certmill.model.names import CertificateId
from certmill.model.persisted import JSON_NAME, Codec
from certmill.state import keys, queues
from certmill.state.server.connection import answering

KEPT_SECONDS = 3 * 24 * 3600
"""Longer than a CA's longest Retry-After, so that a waiting client still reads the result."""
KEPT_REJECTIONS = 1000
_MAX_TEXT = 500
_MOST_LOOKED_THROUGH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A refused request: the time (seconds since the epoch), its id and certificate (as far as they could be
    read), and the reason."""

    at: float
    request_id: str = field(metadata={JSON_NAME: "id"})
    certificate: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """An accepted request. Run number `run` of the certificate satisfies it; 0 means that nothing had to be
    done."""

    certificate: CertificateId
    run: int


_ACCEPTANCE: Final = Codec(Acceptance)
_REJECTION: Final = Codec(Rejection)


class Requests:
    """The results of requests. Every method raises StateUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @answering
    def accept(self, request_id: str, acceptance: Acceptance) -> None:
        """Record which run satisfies this request."""
        self._redis.set(keys.request(request_id), _ACCEPTANCE.dump(acceptance), ex=KEPT_SECONDS)

    @answering
    def reject(self, rejection: Rejection) -> None:
        """Record a refusal: for the sender, and in the bounded list."""
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
        """Return the result of a request. None: it was not handled yet, or was handled days ago. Raises
        NewerRelease: it was handled, and must not be handled again."""
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
        """Whether the message of the request waits in the queue. None if this cannot be determined: the queue
        is long, or this user may not read it."""
        try:
            length = queues.length_of(self._redis, contract.REQUESTS_QUEUE)
            if not 0 < length <= _MOST_LOOKED_THROUGH:
                return None if length else False
            with self._redis.pipeline(transaction=False) as pipe:
                for name in queues.lists_of(contract.REQUESTS_QUEUE):
                    pipe.lrange(name, 0, _MOST_LOOKED_THROUGH)
                lists = cast("list[list[str]]", pipe.execute())
        except NoPermissionError:
            return None
        return any(request_id in message for messages in lists for message in messages)

    @answering
    def rejections(self, limit: int = KEPT_REJECTIONS) -> list[Rejection]:
        """Return the refused requests, newest first, at most `limit`. Requests that this release cannot read
        are left out."""
        found = []
        for body in cast("list[str]", self._redis.lrange(keys.REJECTED, 0, limit - 1)):
            with suppress(NewerRelease, DamagedValue):
                found.append(_REJECTION.load(body))
        return found
