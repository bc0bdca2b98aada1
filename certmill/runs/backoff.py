"""Compute the time of the next try from the failure class and the certificate's remaining life. Pure: the
random value is an argument.

class            a step is tried again after                  a failed run begins again after
transient        0.5 s … 5 min, full jitter, or               1 min … 1 h, full jitter
                 Retry-After (an hour at most) + up to 10 %
rate-limited     Retry-After (a week at most) + up to 10 %    (never fails a run)
ca-refuses-us    -                                            5 min … 1 h, or when the issuer is ready again
configuration    -                                            1 min … 1 h, or when the manifest changes, or
                                                              (issuers.failures) the issuer
name-is-wrong    -                                            12 min … 32 h, full jitter under 1 h, 2 h, 4 h …

32 h is cert-manager's ceiling; Let's Encrypt gives one failed authorization back in 12 min. A run for a
wrong name also begins again when the issuer's solvers change, but not when an issuer becomes ready again.
While the stored certificate is valid, none of these is longer than an eighth of what is left of its life
(`next_attempt`)."""

from __future__ import annotations

from dataclasses import dataclass

from certmill.errors import Busy, CertmillError, FailureClass, RateLimited, Temporary

MINUTE = 60.0
HOUR = 3600.0
WEEK = 7 * 24 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential with full jitter between `floor` and min(`ceiling`, `base` · 2^(n-1)); seconds."""

    floor: float
    base: float
    ceiling: float

    def delay(self, attempt: int, jitter: float) -> float:
        """Seconds after the `attempt`-th failure (from 1); `jitter` in [0, 1)."""
        top = min(self.ceiling, self.base * 2.0 ** min(attempt - 1, 30))
        return self.floor + jitter * max(0.0, top - self.floor)


STEP = Backoff(floor=0.5, base=2.0, ceiling=5 * MINUTE)

RUN: dict[FailureClass, Backoff] = {
    FailureClass.TRANSIENT: Backoff(floor=MINUTE, base=2 * MINUTE, ceiling=HOUR),
    FailureClass.RATE_LIMITED: Backoff(floor=MINUTE, base=2 * MINUTE, ceiling=HOUR),
    FailureClass.CA_REFUSES_US: Backoff(floor=5 * MINUTE, base=10 * MINUTE, ceiling=HOUR),
    FailureClass.CONFIGURATION: Backoff(floor=MINUTE, base=2 * MINUTE, ceiling=HOUR),
    FailureClass.NAME_IS_WRONG: Backoff(floor=12 * MINUTE, base=HOUR, ceiling=32 * HOUR),
}

LEAST_RETRY_AFTER = 1.0
"""A Retry-After of 0 or in the past is ignored: the back-off applies."""

LONGEST_RETRY_AFTER: dict[FailureClass, float] = {FailureClass.RATE_LIMITED: WEEK}
"""The longest wait that a server may ask for, else an hour. Rate limits of Let's Encrypt last
a week. A server that answers 5xx does not know how long the failure lasts."""

RATE_LIMITED_WITHOUT_A_TIME = HOUR
"""Boulder answers 429 without Retry-After for a paused identifier. An operator must act, and the step is
tried again each hour."""

SHARE_OF_REMAINING_LIFE = 1 / 8

LEAST_DELAY_SECONDS = 12 * MINUTE
LEAST_DELAY_SHARE = 1 / 100
"""Near the expiry, an eighth of the remaining life is almost nothing. So a delay is not shortened below 12
minutes, or below a hundredth of the lifetime if that is shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """When the stored certificate is valid; seconds since the epoch. `not_before` is None if unknown."""

    not_before: float | None
    not_after: float

    @property
    def least_delay(self) -> float:
        """The shortest delay (seconds) that `next_attempt` gives. Without it, a failing run would be repeated
        at once again and again just before the expiry."""
        if self.not_before is None:
            return LEAST_DELAY_SECONDS
        return min(LEAST_DELAY_SECONDS, max(1.0, (self.not_after - self.not_before) * LEAST_DELAY_SHARE))


@dataclass(frozen=True, slots=True, kw_only=True)
class NextAttempt:
    """When to try again (seconds since the epoch), and which rule decided it."""

    at: float
    reason: str


def next_attempt(delay: float, *, failed_at: float, validity: Validity | None) -> NextAttempt:
    """`delay` seconds after the failure, but after at most an eighth of the remaining life, and at the expiry
    if that comes first.

    If no certificate is valid at `failed_at`, only the back-off decides. If `delay` is the result of an
    earlier call with the same arguments, the result is the same."""
    if validity is None or validity.not_after <= failed_at:
        return NextAttempt(at=failed_at + delay, reason="the back-off ends")
    remaining = validity.not_after - failed_at
    longest = max(remaining * SHARE_OF_REMAINING_LIFE, validity.least_delay)
    if min(delay, longest) >= remaining:
        return NextAttempt(at=validity.not_after, reason="the certificate expires")
    if delay <= longest:
        return NextAttempt(at=failed_at + delay, reason="the back-off ends")
    return NextAttempt(
        at=failed_at + longest, reason="an eighth of the certificate's remaining life has passed"
    )


def step_delay(error: Temporary, tries: int, jitter: float) -> float:
    """Seconds until a step is tried again after its `tries`-th temporary failure (from 1)."""
    if isinstance(error, RateLimited) and error.retry_after is None:
        return RATE_LIMITED_WITHOUT_A_TIME * (1 + 0.1 * jitter)
    if error.retry_after is not None and error.retry_after >= LEAST_RETRY_AFTER:
        return min(error.retry_after, LONGEST_RETRY_AFTER.get(error.failure_class, HOUR)) * (1 + 0.1 * jitter)
    return STEP.delay(tries, jitter)


def run_delay(error: CertmillError, attempts: int, jitter: float, *, costly: bool = False) -> float:
    """Seconds until the next run after the `attempts`-th run in a row failed (from 1). `costly`: each attempt
    uses up orders or certificates."""
    return RUN[FailureClass.NAME_IS_WRONG if costly else error.failure_class].delay(attempts, jitter)


POLL_SECONDS = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0)


def poll_delay(elapsed: float) -> float:
    """Seconds until the next poll. `elapsed`: seconds since the step began."""
    return next((seconds for seconds in POLL_SECONDS if elapsed < 2 * seconds), POLL_SECONDS[-1])


def busy_delay(error: Busy, elapsed: float, jitter: float) -> float:
    """Seconds until a step retries after Busy. `elapsed`: seconds since the run came to this step. Busy does
    not count as a failure."""
    seconds = (
        error.retry_after
        if error.retry_after is not None and error.retry_after >= LEAST_RETRY_AFTER
        else poll_delay(elapsed)
    )
    return min(seconds, HOUR) * (1 + 0.1 * jitter)
