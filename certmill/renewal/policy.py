"""Decides whether a Certificate must be issued: a list of pure checks, in the same order and with the same
reasons and messages as cert-manager's policies (reference §1.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from certmill.certificates import secret_contract
from certmill.certificates.candidates import candidate_refs
from certmill.clock import instant
from certmill.crypto import chain, keys
from certmill.errors import SecretUnusable
from certmill.model.certificate import Certificate
from certmill.model.reason import END_OF_LIFE, Reason
from certmill.model.secret import TLS_CERTIFICATE, TLS_PRIVATE_KEY, Secret
from certmill.model.status import CertificateStatus, expiry_message
from certmill.renewal.plan import RenewalPlan, least_seconds_between, plan
from certmill.runs.backoff import NextAttempt, Validity, next_attempt

CLOCK_TOLERANCE_SECONDS = 300.0
"""The clocks of two machines may differ by this many seconds: an instant that is less far in the future
counts as now."""

LONGEST_HOLD = 48 * 3600.0
"""No back-off is longer (runs.backoff). A later end was written while a clock was wrong."""

READY_MESSAGE = "Certificate is up to date and has not expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Why the stored pair is not the desired one; the message has one line."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The observed facts on which the decision depends. `unusable`: why the Secret or its certificate could
    not be read, or "". `specs`: the digest of the desired state with each candidate issuer."""

    certificate: Certificate
    secret: Secret | None
    leaf: chain.Leaf | None
    unusable: str
    status: CertificateStatus
    specs: tuple[str, ...]
    jitter_seconds: float = 0.0

    @property
    def spec(self) -> str:
        """The digest with the preferred issuer: a run begins with it."""
        return self.specs[0]

    @property
    def renewal(self) -> RenewalPlan:
        """When the stored pair must be renewed, and by which rule. The pair's leaf must be known."""
        assert self.leaf is not None
        return plan(self.certificate, self.leaf, jitter_seconds=self.jitter_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """Begin a run."""

    violation: Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """The stored pair is the desired one until its renewal."""

    renewal: RenewalPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class BackingOff:
    """The stored pair is not the desired one, but no run begins before `until` (seconds since the epoch).
    `reason` says what happens then."""

    violation: Violation
    until: float
    reason: str = ""


Decision = Issue | Keep | BackingOff


def look(
    certificate: Certificate,
    secret: Secret | None,
    status: CertificateStatus,
    specs: tuple[str, ...],
    *,
    unusable: str = "",
    jitter_seconds: float = 0.0,
) -> Seen:
    """Parse the stored pair, with size limits, so that the checks only compare facts. `unusable`: why the
    Secret exists but could not be read."""
    leaf = None
    if secret is not None and secret.data.get(TLS_CERTIFICATE):
        try:
            leaf = chain.leaf(secret.data[TLS_CERTIFICATE])
        except SecretUnusable as error:
            unusable = str(error)
    return Seen(
        certificate=certificate,
        secret=secret,
        leaf=leaf,
        unusable=unusable,
        status=status,
        specs=specs,
        jitter_seconds=jitter_seconds,
    )


def decide(seen: Seen, now: float) -> Decision:
    """Decide: issue, keep the stored pair, or wait until a back-off ends; with the reason."""
    violation = violated(seen, now)
    if violation is None:
        return Keep(renewal=seen.renewal)
    return _not_before(seen, violation, now) or Issue(violation=violation)


def _not_before(seen: Seen, violation: Violation, now: float) -> BackingOff | None:
    """Why the run must wait, and until when; None if it may begin now."""
    leaf, issued = seen.leaf, seen.status.last_issuance_time
    if (
        violation.reason is Reason.NOT_YET_VALID and leaf is not None
    ):  # a new one would cost an order, and may not be valid yet either
        return BackingOff(violation=violation, until=leaf.not_before, reason="the certificate becomes valid")
    if violation.reason in END_OF_LIFE and leaf is not None and issued is not None:
        until = issued + least_seconds_between(leaf)
        if issued <= now < until:
            return BackingOff(
                violation=violation, until=until, reason="enough time has passed since it was issued"
            )
    back_off = _back_off(seen, now)
    if back_off is not None and now < back_off.at:
        return BackingOff(violation=violation, until=back_off.at, reason=back_off.reason)
    return None


def _back_off(seen: Seen, now: float) -> NextAttempt | None:
    """When the next attempt may begin after the failure in the status; None if that failure does not
    count."""
    status, leaf = seen.status, seen.leaf
    # If another program wrote the failure into the status, it is not known which spec failed. Then the back-
    # off applies to the current spec.
    if (
        status.next_attempt is None
        or status.failed_spec not in ("", *seen.specs)
        or status.next_attempt > now + LONGEST_HOLD
    ):
        return None
    failed_at = status.last_failure_time if status.last_failure_time is not None else now
    if failed_at > now + CLOCK_TOLERANCE_SECONDS:  # written while a clock was ahead
        return None
    validity = Validity(not_before=leaf.not_before, not_after=leaf.not_after) if leaf is not None else None
    return next_attempt(status.next_attempt - failed_at, failed_at=failed_at, validity=validity)


def violated(seen: Seen, now: float) -> Violation | None:
    """The violation of the first check that fails, or None if the pair is the desired one."""
    return next((violation for check in CHECKS if (violation := check(seen, now)) is not None), None)


def _absent(seen: Seen, now: float) -> Violation | None:
    if seen.secret is None and seen.unusable:
        return Violation(
            reason=Reason.INVALID_CERTIFICATE,
            message=f"Issuing certificate as Secret cannot be read: {seen.unusable}",
        )
    if seen.secret is None:
        return Violation(reason=Reason.DOES_NOT_EXIST, message="Issuing certificate as Secret does not exist")
    return None


def _missing_data(seen: Seen, now: float) -> Violation | None:
    data = seen.secret.data if seen.secret else {}
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


def _pair_differs(seen: Seen, now: float) -> Violation | None:
    assert seen.secret is not None
    try:
        public = chain.key_of(seen.secret.data[TLS_PRIVATE_KEY])
    except SecretUnusable as error:
        return Violation(
            reason=Reason.INVALID_KEY_PAIR,
            message=f"Issuing certificate as Secret contains invalid private key data: {error}",
        )
    if seen.leaf is None:
        message = f"Issuing certificate as Secret contains an invalid certificate: {seen.unusable}"
        return Violation(reason=Reason.INVALID_CERTIFICATE, message=message)
    if public != seen.leaf.public_key:
        message = "Issuing certificate as Secret contains a private key that does not match the certificate"
        return Violation(reason=Reason.INVALID_KEY_PAIR, message=message)
    return None


def _issuer(seen: Seen, now: float) -> Violation | None:
    assert seen.secret is not None
    if secret_contract.is_temporary(seen.secret):
        return Violation(
            reason=Reason.INCORRECT_ISSUER,
            message="Issuing certificate as Secret holds a temporary certificate",
        )
    if not any(secret_contract.issued_by(seen.secret, ref) for ref in candidate_refs(seen.certificate)):
        former = secret_contract.issuer_of(seen.secret)
        return Violation(
            reason=Reason.INCORRECT_ISSUER,
            message=f'Issuing certificate as Secret was previously issued by "{former}"',
        )
    return None


def _key_spec(seen: Seen, now: float) -> Violation | None:
    assert seen.secret is not None
    fields = keys.differing(seen.secret.data[TLS_PRIVATE_KEY], seen.certificate.private_key)
    if fields:
        return Violation(
            reason=Reason.SECRET_MISMATCH,
            message=f"Observed private key is not up to date for spec: {_listed(fields)}",
        )
    return None


def _names(seen: Seen, now: float) -> Violation | None:
    leaf, wanted = seen.leaf, seen.certificate
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


def _expired(seen: Seen, now: float) -> Violation | None:
    assert seen.leaf is not None
    return (
        Violation(reason=Reason.EXPIRED, message=expiry_message(seen.leaf.not_after))
        if seen.leaf.not_after <= now
        else None
    )


def not_yet_valid(leaf: chain.Leaf, now: float) -> Violation | None:
    """The violation of a pair that clients do not accept yet; None if it is valid now, within the clock
    tolerance."""
    if leaf.not_before <= now + CLOCK_TOLERANCE_SECONDS:
        return None
    return Violation(
        reason=Reason.NOT_YET_VALID,
        message=f"Certificate is not valid before {instant(leaf.not_before):%a, %d %b %Y %H:%M:%S} UTC",
    )


def _not_yet_valid(seen: Seen, now: float) -> Violation | None:
    assert seen.leaf is not None
    return not_yet_valid(seen.leaf, now)


def _renewing(seen: Seen, now: float) -> Violation | None:
    renew_at = seen.renewal.instant
    if renew_at <= now:
        scheduled = f"{instant(renew_at):%Y-%m-%d %H:%M:%S} +0000 UTC"
        return Violation(
            reason=Reason.RENEWING, message=f"Renewing certificate as renewal was scheduled at {scheduled}"
        )
    return None


def _listed(fields: Sequence[str]) -> str:
    """The fields in the form in which Go prints a list."""
    return f"[{' '.join(fields)}]"


CHECKS: tuple[Callable[[Seen, float], Violation | None], ...] = (
    _absent,
    _missing_data,
    _pair_differs,
    _issuer,
    _key_spec,
    _names,
    _expired,
    _not_yet_valid,
    _renewing,
)
