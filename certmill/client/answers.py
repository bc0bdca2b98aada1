"""Reads the state of a request from Redis: the answer to the request, and the record of its Certificate."""

from __future__ import annotations

import redis

from certmill import contract
from certmill.client.handle import UNKNOWN_SECONDS, Status
from certmill.clock import Clock
from certmill.model.status import NO_WORKER
from certmill.state.record import Record
from certmill.state.records import Records
from certmill.state.requests import Acceptance, Rejection, Requests

_TAKEN_UP_WITHIN_SECONDS = 2.0
_UNKNOWN_ADVICE = "it was lost (send it again), it ended more than three days ago, or the id is wrong"


class Answers:
    """Reads the states of requests. Every method raises StateUnavailable if Redis does not answer, or if this
    user may not read."""

    def __init__(self, client: redis.Redis, clock: Clock) -> None:
        self._records, self._requests = Records(client), Requests(client)
        self._clock = clock

    def status(self, request_id: str) -> Status:
        """The state of the request with this id."""
        found, now = self._requests.find(request_id), self._clock.now()
        if found is None:
            return self._unanswered(request_id, now)
        if isinstance(found, Rejection):
            return Status(phase="rejected", reason=found.reason)
        return _status(found, self._records.read(found.certificate), now)

    def _unanswered(self, request_id: str, now: float) -> Status:
        """The status of a request without an answer: queued (this includes a request that a worker is
        handling), or unknown (it was lost, it is days old, or it never existed)."""
        sent = contract.sent_at(request_id)
        if (sent is not None and now < sent + UNKNOWN_SECONDS) or self._requests.is_queued(
            request_id
        ) is not False:
            return Status(phase="queued")
        return Status(
            phase="unknown", reason=f"nothing knows of the request {request_id[:64]}: {_UNKNOWN_ADVICE}"
        )


def _status(accepted: Acceptance, record: Record | None, now: float) -> Status:
    """The status of an accepted request, derived from its Certificate's record. Pure."""
    if accepted.run == 0:
        return Status(phase="issued")
    if record is None:
        return Status(phase="failed", reason="the Certificate was deleted")
    if record.done >= accepted.run:
        if record.was_issued:
            return Status(phase="issued")
        return Status(phase="failed", reason=record.result, next_at=record.due or None)
    if record.reason:
        return Status(phase="waiting", step=record.step, reason=record.reason, next_at=record.due or None)
    is_taken_up = record.attempts or record.lease > now or now < record.since + _TAKEN_UP_WITHIN_SECONDS
    return Status(phase="issuing", step=record.step, reason="" if is_taken_up else NO_WORKER)
