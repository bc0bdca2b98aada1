"""The metrics of one process. Names and labels are cert-manager's where cert-manager has the metric.

docs/metrics.md lists them with their cardinality. Every label has a limited number of values. The hosts of
CAs (chosen by the authors of Issuers) and the statuses (chosen by these hosts) are limited here."""

from __future__ import annotations

import threading
from collections import Counter as Tally
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, Summary, generate_latest

from certmill.observe.exposition import family

DUPLICATE: Final = "duplicate"
_FAILED: Final = ("failed", "retried", "redis-away")
_CONTROLLERS: Final = {
    "register_account": "orders",
    "create_order": "orders",
    "finalize": "orders",
    "set_up_challenge": "challenges",
    "wait_for_propagation": "challenges",
    "validate": "challenges",
    "clean_up": "challenges",
    "store_secret": "certificates-issuing",
}
"""The cert-manager controller that corresponds to a step."""
MOST_CA_HOSTS: Final = 100
MOST_SERIES_OF_A_HOST: Final = 100
MOST_FALLBACK_SERIES: Final = 100
OTHER: Final = "other"
_STEP_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_RUN_BUCKETS: Final = (
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1800.0,
    3600.0,
    21600.0,
    86400.0,
    604800.0,
)
_ACME_LABELS: Final = ("scheme", "host", "action", "method", "status")

REQUEST_COUNT: Final = "certmanager_http_acme_client_request_count"
SYNC_CALLS: Final = "certmanager_controller_sync_call_count"
SYNC_ERRORS: Final = "certmanager_controller_sync_error_count"


_WAITS = "Times that a run waited for a rate limit of its CA, instead of an answer 429."
_FALLBACKS = "Times that another issuer took the place of one that could not issue."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Families:
    """The metrics that prometheus_client counts."""

    step_seconds: Histogram
    step_outcomes: Counter
    runs: Counter
    run_seconds: Histogram
    redis_errors: Counter
    rate_limit_waits: Counter
    fallbacks: Counter
    acme_seconds: Summary

    @classmethod
    def registered(cls, registry: CollectorRegistry) -> _Families:
        return cls(
            step_seconds=Histogram(
                "certmill_step_duration_seconds",
                "How long one try of a step took.",
                ["step"],
                registry=registry,
                buckets=_STEP_BUCKETS,
            ),
            step_outcomes=Counter(
                "certmill_step_outcomes",
                "Tries of steps by how they ended.",
                ["step", "outcome"],
                registry=registry,
            ),
            runs=Counter(
                "certmill_runs",
                "Runs that have ended, by outcome and class of the failure.",
                ["outcome", "class"],
                registry=registry,
            ),
            run_seconds=Histogram(
                "certmill_run_duration_seconds",
                "Seconds from the beginning of a run to its certificate, or its failure.",
                ["outcome"],
                registry=registry,
                buckets=_RUN_BUCKETS,
            ),
            redis_errors=Counter(
                "certmill_redis_errors", "Calls of Redis that failed in this process.", registry=registry
            ),
            rate_limit_waits=Counter("certmill_rate_limit_waits", _WAITS, ["limit"], registry=registry),
            fallbacks=Counter("certmill_fallbacks", _FALLBACKS, ["from", "to"], registry=registry),
            acme_seconds=Summary(
                "certmanager_http_acme_client_request_duration_seconds",
                "Seconds of requests to CAs.",
                _ACME_LABELS,
                registry=registry,
            ),
        )


class ProcessMetrics:
    """Implements recording.Sink. One per process. `text` returns the exposition."""

    def __init__(self) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)
        prometheus_client.GCCollector(registry=registry)
        self._registry = registry
        self._families = _Families.registered(registry)
        self._guard = threading.Lock()
        self._acme_requests: Tally[tuple[str, ...]] = Tally()
        self._syncs: Tally[str] = Tally()
        self._sync_errors: Tally[str] = Tally()
        self._hosts: set[str] = set()
        self._series_of_host: Tally[str] = Tally()
        self._fallbacks: set[tuple[str, str]] = set()

    def step(self, step: str, outcome: str, seconds: float) -> None:
        self._families.step_outcomes.labels(step, outcome).inc()
        if outcome != DUPLICATE:
            self._families.step_seconds.labels(step).observe(seconds)
            self.sync(_CONTROLLERS.get(step, step), failed=outcome in _FAILED)

    def run(self, outcome: str, failure_class: str, seconds: float) -> None:
        self._families.runs.labels(outcome, failure_class).inc()
        self._families.run_seconds.labels(outcome).observe(seconds)

    def sync(self, controller: str, *, failed: bool) -> None:
        with self._guard:
            self._syncs[controller] += 1
            self._sync_errors[controller] += failed

    def acme_request(self, url: str, *, action: str, method: str, status: int, seconds: float) -> None:
        parts = urlsplit(url)
        with self._guard:
            host = self._host(parts.netloc.rpartition("@")[2].lower())
            values = (parts.scheme, host, action, method, str(status))
            if values not in self._acme_requests and self._series_of_host[host] >= MOST_SERIES_OF_A_HOST:
                values = (*values[:-1], OTHER)
            self._series_of_host[host] += values not in self._acme_requests
            self._acme_requests[values] += 1
        self._families.acme_seconds.labels(*values).observe(seconds)

    def redis_error(self) -> None:
        self._families.redis_errors.inc()

    def rate_limit_wait(self, limit: str) -> None:
        self._families.rate_limit_waits.labels(limit).inc()

    def fallback(self, used: str, following: str) -> None:
        with self._guard:
            pair = (used, following)
            if pair not in self._fallbacks and len(self._fallbacks) >= MOST_FALLBACK_SERIES:
                pair = (OTHER, OTHER)
            self._fallbacks.add(pair)
        self._families.fallbacks.labels(*pair).inc()

    def text(self) -> Iterator[str]:
        """Everything in Prometheus' text format, a metric at a time."""
        yield generate_latest(self._registry).decode()
        with self._guard:
            requests, syncs, errors = dict(self._acme_requests), dict(self._syncs), dict(self._sync_errors)
        counted = (
            (dict(zip(_ACME_LABELS, values, strict=True)), float(count)) for values, count in requests.items()
        )
        yield from family(REQUEST_COUNT, "counter", "Requests to CAs; status 999: no answer.", counted)
        yield from family(
            SYNC_CALLS,
            "counter",
            "Objects reconciled, by cert-manager's name for the controller.",
            _by_controller(syncs),
        )
        yield from family(SYNC_ERRORS, "counter", "Objects whose reconciling failed.", _by_controller(errors))

    def _host(self, host: str) -> str:
        if host not in self._hosts:
            if len(self._hosts) >= MOST_CA_HOSTS:
                return OTHER
            self._hosts.add(host)
        return host


def _by_controller(counts: dict[str, int]) -> Iterator[tuple[dict[str, str], float]]:
    yield from (({"controller": controller}, float(count)) for controller, count in counts.items())
