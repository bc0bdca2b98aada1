"""Follows a request that was sent: its state, and how it can end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from certmill.clock import Clock
from certmill.errors import Permanent, Temporary
from certmill.model.names import CertificateId
from certmill.model.status import NO_WORKER

SHORTEST_POLL_SECONDS = 0.01
LONGEST_POLL_SECONDS = 0.2
_POLLS_PER_TIME_WAITED = 10

UNKNOWN_SECONDS = 10.0
"""Seconds for which a request may be neither in the queue nor answered: a worker is handling it."""

UNKNOWN_POLL_SECONDS = 1.0

ASK_AGAIN_SECONDS = 30.0
"""Seconds. A request that no worker has taken by then may be lost (a worker died while it handled it): wait()
sends it again, with the same id."""


class RequestRejected(Permanent):
    """A worker rejected the request; the message says why and names the field."""


class RequestUnknown(Permanent):
    """The request is unknown: it was lost, it ended more than three days ago, or its id is wrong."""


class IssuanceFailed(Permanent):
    """The run of this request ended without a certificate; the message says why."""


class StillWaiting(Temporary):
    """The time-out of `wait` ended before the run. The run continues; the message says what it waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of a request.

    `phase`: queued, issuing, waiting (see `reason`, `next_at`), issued, failed (`next_at`: the next attempt),
    rejected, unknown (see `reason`). Times are in seconds since the epoch."""

    phase: str
    step: str = ""
    reason: str = ""
    next_at: float | None = None

    @property
    def ended(self) -> bool:
        return self.phase in ("issued", "failed", "rejected")

    @property
    def line(self) -> str:
        """The state in one line, for a message."""
        return self.reason or (NO_WORKER if self.phase == "queued" else self.step or self.phase)


class Handle:
    """A request that was sent, to read its status or wait for its end."""

    def __init__(
        self,
        request_id: str,
        certificate: CertificateId,
        read: Callable[[str], Status],
        clock: Clock,
        send_again: Callable[[], None] | None = None,
    ) -> None:
        self.id = request_id
        self.certificate = certificate
        self._read = read
        self._clock = clock
        self._send_again = send_again
        self._ask_again_at = clock.now() + ASK_AGAIN_SECONDS

    def status(self) -> Status:
        """The status now. Raises StateUnavailable if Redis is not available, or if this user may not read."""
        return self._read(self.id)

    def wait(self, timeout: float = 300.0) -> Status:
        """Wait until the certificate is issued, at most `timeout` seconds. Raises RequestRejected,
        IssuanceFailed, StillWaiting, RequestUnknown, and the errors of `status`."""
        began = self._clock.now()
        ends, unknown_until = began + timeout, began + UNKNOWN_SECONDS
        while True:
            status = self.status()
            if status.phase == "issued":
                return status
            if status.phase == "rejected":
                raise RequestRejected(f"{self.certificate}: {status.reason}")
            if status.phase == "failed":
                raise IssuanceFailed(f"{self.certificate}: {status.reason}")
            if self._clock.now() >= ends:
                raise StillWaiting(f"{self.certificate} is not issued after {timeout:g} s: {status.line}")
            if status.phase != "unknown":
                unknown_until = self._clock.now() + UNKNOWN_SECONDS
            elif self._send_again is None and self._clock.now() >= unknown_until:
                raise RequestUnknown(f"{self.certificate}: {status.reason}")
            self.ask_again(status)
            is_unknown = status.phase == "unknown"
            self._clock.pause(UNKNOWN_POLL_SECONDS if is_unknown else _poll_pause(self._clock.now() - began))

    def ask_again(self, status: Status) -> None:
        """Send the request again, with the same id, if this client sent it and no worker has taken it for
        ASK_AGAIN_SECONDS."""
        if (
            status.phase in ("queued", "unknown")
            and self._send_again is not None
            and self._clock.now() >= self._ask_again_at
        ):
            self._send_again()
            self._ask_again_at = self._clock.now() + ASK_AGAIN_SECONDS


def _poll_pause(waited: float) -> float:
    """Seconds until the next poll, when a caller has waited for `waited` seconds: a tenth of them, so that a
    quick run is noticed quickly, and a slow one is not polled often. Pure."""
    return min(max(waited / _POLLS_PER_TIME_WAITED, SHORTEST_POLL_SECONDS), LONGEST_POLL_SECONDS)
