"""Finds what is wrong with a stored pair: a list of pure checks, in the same order and with the same reasons
and messages as cert-manager's policies (reference §1.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from certmill.certificates import secret_contract
from certmill.clock import instant
from certmill.crypto import chain, keys
from certmill.errors import SecretUnusable
from certmill.model.ari import AriStatus
from certmill.model.reason import Reason
from certmill.model.secret import TLS_CERTIFICATE, TLS_PRIVATE_KEY
from certmill.model.status import expiry_message
from certmill.renewal.observation import Observation, Violation
from certmill.renewal.plan import RenewalRule

CLOCK_TOLERANCE_SECONDS = 300.0
"""The clocks of two machines may differ by this many seconds: an instant that is less far in the future
counts as now."""

READY_MESSAGE = "Certificate is up to date and has not expired"


def violated(observation: Observation, now: float) -> Violation | None:
    """The violation of the first check that fails, or None if the pair is the desired one."""
    return next((violation for check in CHECKS if (violation := check(observation, now)) is not None), None)


def _absent(observation: Observation, now: float) -> Violation | None:
    if observation.secret is None and observation.unusable:
        return Violation(
            reason=Reason.INVALID_CERTIFICATE,
            message=f"Issuing certificate as Secret cannot be read: {observation.unusable}",
        )
    if observation.secret is None:
        return Violation(reason=Reason.DOES_NOT_EXIST, message="Issuing certificate as Secret does not exist")
    return None


def _missing_data(observation: Observation, now: float) -> Violation | None:
    data = observation.secret.data if observation.secret else {}
    if not data:
        missing = "any data"
    elif not data.get(TLS_PRIVATE_KEY):
        missing = "a private key"
    elif not data.get(TLS_CERTIFICATE):
        missing = "a certificate"
    else:
        return None
    return Violation(
        reason=Reason.MISSING_DATA, message=f"Issuing certificate as Secret does not contain {missing}"
    )


def _pair_differs(observation: Observation, now: float) -> Violation | None:
    assert observation.secret is not None
    try:
        public = chain.key_of(observation.secret.data[TLS_PRIVATE_KEY])
    except SecretUnusable as error:
        return Violation(
            reason=Reason.INVALID_KEY_PAIR,
            message=f"Issuing certificate as Secret contains invalid private key data: {error}",
        )
    if observation.leaf is None:
        message = f"Issuing certificate as Secret contains an invalid certificate: {observation.unusable}"
        return Violation(reason=Reason.INVALID_CERTIFICATE, message=message)
    if public != observation.leaf.public_key:
        message = "Issuing certificate as Secret contains a private key that does not match the certificate"
        return Violation(reason=Reason.INVALID_KEY_PAIR, message=message)
    return None


def _compromised(observation: Observation, now: float) -> Violation | None:
    leaf, revoked = observation.leaf, observation.status.revoked
    assert leaf is not None
    if revoked is None or not revoked.is_key_compromised or revoked.public_key != leaf.public_key:
        return None
    message = f"Certificate with serial {revoked.serial} is revoked: its private key is compromised"
    return Violation(reason=Reason.REVOKED, message=message)


def _issuer(observation: Observation, now: float) -> Violation | None:
    assert observation.secret is not None
    if secret_contract.is_temporary(observation.secret):
        return Violation(
            reason=Reason.INCORRECT_ISSUER,
            message="Issuing certificate as Secret holds a temporary certificate",
        )
    if secret_contract.candidate_in(observation.secret, observation.certificate) is None:
        former = secret_contract.issuer_of(observation.secret)
        return Violation(
            reason=Reason.INCORRECT_ISSUER,
            message=f'Issuing certificate as Secret was previously issued by "{former}"',
        )
    return None


def _key_spec(observation: Observation, now: float) -> Violation | None:
    assert observation.secret is not None
    fields = keys.differing(observation.secret.data[TLS_PRIVATE_KEY], observation.certificate.private_key)
    if fields:
        return Violation(
            reason=Reason.SECRET_MISMATCH,
            message=f"Observed private key is not up to date for spec: {_listed(fields)}",
        )
    return None


def _names(observation: Observation, now: float) -> Violation | None:
    leaf, wanted = observation.leaf, observation.certificate
    assert leaf is not None
    changed = []
    if set(leaf.dns_names) != set(wanted.dns_names):
        changed.append("spec.dnsNames")
    if set(leaf.ip_addresses) != set(wanted.ip_addresses):
        changed.append("spec.ipAddresses")
    # A CA may omit the common name (Let's Encrypt's tlsserver profile). Only a different common name is a
    # change.
    if wanted.common_name and leaf.common_name not in ("", wanted.common_name):
        changed.append("spec.commonName")
    if changed:
        return Violation(
            reason=Reason.REQUEST_CHANGED,
            message=f"Fields on existing certificate not up to date: {_listed(changed)}",
        )
    return None


def _expired(observation: Observation, now: float) -> Violation | None:
    assert observation.leaf is not None
    return (
        Violation(reason=Reason.EXPIRED, message=expiry_message(observation.leaf.not_after))
        if observation.leaf.not_after <= now
        else None
    )


def becomes_valid_at(not_before: float, now: float) -> float | None:
    """When the pair becomes valid (seconds since the epoch); None if it is valid now, within the clock
    tolerance."""
    return not_before if not_before > now + CLOCK_TOLERANCE_SECONDS else None


def not_yet_valid(leaf: chain.Leaf, now: float) -> Violation | None:
    """The violation of a pair that clients do not accept yet; None if it is valid now, within the clock
    tolerance."""
    if becomes_valid_at(leaf.not_before, now) is None:
        return None
    return Violation(
        reason=Reason.NOT_YET_VALID,
        message=f"Certificate is not valid before {instant(leaf.not_before):%a, %d %b %Y %H:%M:%S} UTC",
    )


def _not_yet_valid(observation: Observation, now: float) -> Violation | None:
    assert observation.leaf is not None
    return not_yet_valid(observation.leaf, now)


def _renewing(observation: Observation, now: float) -> Violation | None:
    renew_at = observation.renewal.instant
    if renew_at is not None and renew_at <= now:
        if observation.renewal.reason is RenewalRule.ARI_PAST and observation.ari is not None:
            return Violation(reason=Reason.RENEWING, message=_suggested_at_once(observation.ari))
        scheduled = f"{instant(renew_at):%Y-%m-%d %H:%M:%S} +0000 UTC"
        return Violation(
            reason=Reason.RENEWING, message=f"Renewing certificate as renewal was scheduled at {scheduled}"
        )
    return None


def _suggested_at_once(ari: AriStatus) -> str:
    """The message for a window in the past: the CA has revoked the certificate, or will do so."""
    ended = f", which ended at {instant(ari.end):%Y-%m-%d %H:%M:%S} UTC" if ari.end is not None else ""
    see = f"; see {ari.explanation_url}" if ari.explanation_url else ""
    return f"Renewing certificate at once as the ARI window of the CA is in the past{ended}{see}"


def _listed(fields: Sequence[str]) -> str:
    """The fields in the form in which Go prints a list."""
    return f"[{' '.join(fields)}]"


CHECKS: tuple[Callable[[Observation, float], Violation | None], ...] = (
    _absent,
    _missing_data,
    _pair_differs,
    _compromised,
    _issuer,
    _key_spec,
    _names,
    _expired,
    _not_yet_valid,
    _renewing,
)
