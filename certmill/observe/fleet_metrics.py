"""Metrics of the whole fleet, read from Redis. Every process exposes them, so they stay available when a
process is gone: use `max`, not `sum`, in queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from certmill.observe.exposition import family


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSample:
    """Values from Redis. Times in seconds since the epoch, None if there is none."""

    due: Mapping[str, int]
    overdue: Mapping[str, int]
    queues: Mapping[str, int]
    oldest_request: str = ""
    """The id of the first message on the queue of requests."""
    oldest_run_begun: float | None = None
    ticks: Mapping[str, float] = field(default_factory=dict)
    """Tick -> when it last succeeded."""


class OldestRequest:
    """Measures how long the same message has been first on the queue of requests, because messages have no
    time.

    While the home is not available a request is put back to its queue, so it is remembered for a while when
    it is not seen."""

    _KEPT_SECONDS = 120.0
    _MOST = 1000

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}

    def age(self, message_id: str, now: float) -> float:
        """The age of the first message in seconds; 0 if the queue is empty."""
        self._seen = {one: times for one, times in self._seen.items() if now - times[1] < self._KEPT_SECONDS}
        if not message_id:
            return 0.0
        first = self._seen.get(message_id, (now, now))[0]
        if len(self._seen) >= self._MOST:
            self._seen.clear()
        self._seen[message_id] = (first, now)
        return max(0.0, now - first)


def fleet_text(
    sample: FleetSample, *, now: float, started: float, oldest_request_age: float, ticks: tuple[str, ...]
) -> Iterator[str]:
    """The metrics. `started`: since when this process looks; a tick that has not been seen is as old as
    that."""
    yield from _redis_up(1.0)
    yield from family(
        "certmill_certificates_due", "gauge", "Certificates by what they wait for.", _each("set", sample.due)
    )
    yield from family(
        "certmill_certificates_overdue",
        "gauge",
        "Those of them whose time passed two minutes ago or more.",
        _each("set", sample.overdue),
    )
    yield from family(
        "certmill_queue_length", "gauge", "Messages that wait, by queue.", _each("queue", sample.queues)
    )
    yield from family(
        "certmill_oldest_request_age_seconds",
        "gauge",
        "For how long the request that is next has been seen to wait; 0: none waits.",
        [({}, oldest_request_age)],
    )
    begun = sample.oldest_run_begun
    yield from family(
        "certmill_oldest_run_age_seconds",
        "gauge",
        "Seconds since the oldest run that has not ended was begun; 0: there is none.",
        [({}, max(0.0, now - begun) if begun is not None else 0.0)],
    )
    yield from family(
        "certmill_seconds_since_last_tick",
        "gauge",
        "Seconds since this tick last ended well.",
        [({"tick": tick}, max(0.0, now - sample.ticks.get(tick, started))) for tick in ticks],
    )


def no_fleet_text() -> Iterator[str]:
    """The metrics when Redis does not answer."""
    yield from _redis_up(0.0)


def clock_text(now: float) -> Iterator[str]:
    """cert-manager's clock metric, under both of its names."""
    for name in ("certmanager_clock_time_seconds", "certmanager_clock_time_seconds_gauge"):
        yield from family(name, "gauge", "This process' clock, in seconds since 1970.", [({}, now)])


def _redis_up(value: float) -> Iterator[str]:
    yield from family("certmill_redis_up", "gauge", "1 if Redis answers this process, else 0.", [({}, value)])


def _each(label: str, counts: Mapping[str, int]) -> Iterator[tuple[dict[str, str], float]]:
    yield from (({label: name}, float(count)) for name, count in counts.items())
