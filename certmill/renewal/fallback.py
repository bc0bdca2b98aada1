"""Decides when a run stops waiting for its CA and the next candidate issuer takes its place. Pure.

what happened                                      the next candidate is used
the CA does not answer, or answers 5xx             after `patience`, but not before the reserve begins
the run fails because of that                      at once, but not before the reserve begins
a rate limit                                       at once, if the limit lasts until the reserve begins
a fall-back issuer is not Ready                    at once
any other error                                    never: another CA would give it too, or a person must act

The reserve is the last sixth of the lifetime of the stored certificate. If no certificate is stored, or if it
is not Ready, a rate limit must last longer than `patience`, and the other rules apply without a reserve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from certmill.errors import (
    AccountRefused,
    CAUnavailable,
    CertmillError,
    RateLimited,
    RegistrationPostponed,
)
from certmill.runs.backoff import Validity
from certmill.runs.outcomes import Trouble

RESERVE_SHARE: Final = 1 / 6
"""Before its last sixth a certificate has time: the first CA is usually back by then. Then 15 of 90 days are
left, or 26 of 160 hours."""

PATIENCE_SHARE: Final = 1 / 100
"""For a certificate that lives only minutes, `patience` is at most this share of its lifetime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """The times that decide. `begins`: when the reserve of the stored certificate begins (seconds since the
    epoch); None if there is no valid certificate. `patience`: seconds."""

    begins: float | None
    patience: float

    @classmethod
    def of(cls, validity: Validity | None, *, patience: float, now: float) -> Reserve:
        """`validity`: that of the stored certificate; None if there is none, or if it is not Ready."""
        if validity is None or validity.not_after <= now:
            return cls(begins=None, patience=patience)
        begins_to_be_valid = validity.not_before if validity.not_before is not None else now
        lifetime = validity.not_after - begins_to_be_valid
        return cls(
            begins=validity.not_after - lifetime * RESERVE_SHARE,
            patience=min(patience, lifetime * PATIENCE_SHARE),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UseNext:
    """The next candidate takes over now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """The run stays with its issuer. `until`: when to decide again (seconds since the epoch); None if time
    changes nothing."""

    until: float | None = None


def trouble_of(error: CertmillError) -> Trouble | None:
    """The trouble that this error means; None if another CA would give the same error, or a person must
    act."""
    if isinstance(error, CAUnavailable | RegistrationPostponed):
        return Trouble.CA_IS_OUT
    if isinstance(error, RateLimited):
        return Trouble.RATE_LIMITED
    if isinstance(error, AccountRefused):
        return Trouble.NOT_READY
    return None


def decide(
    trouble: Trouble | None,
    reserve: Reserve,
    *,
    now: float,
    since: float,
    until: float,
    is_first: bool,
    has_failed: bool = False,
) -> UseNext | Stay:
    """`since`: when the CA stopped answering; `until`: when the limit or the wait ends (seconds since the
    epoch). `is_first`: the run uses the issuer in spec.issuerRef. `has_failed`: the run fails instead of
    waiting."""
    match trouble:
        case Trouble.CA_IS_OUT:
            soonest = now if has_failed else since + reserve.patience
            at = max(soonest, reserve.begins) if reserve.begins is not None else soonest
            return UseNext() if now >= at else Stay(until=at)
        case Trouble.RATE_LIMITED:
            longest = reserve.begins if reserve.begins is not None else now + reserve.patience
            return UseNext() if until > longest else Stay()
        case Trouble.NOT_READY if not is_first:
            return UseNext()
    return Stay()
