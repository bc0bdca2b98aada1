"""Decides when the registration of an issuer's account may be tried again after a failure. The back-off is in
Redis, so all workers use it."""

from __future__ import annotations

import hashlib

from certmill.errors import CertmillError, RegistrationPostponed, SecretUnusable, Temporary
from certmill.model.issuer import Issuer
from certmill.runs import backoff
from certmill.runs.ports import Ports
from certmill.state.issuer_records import Postponement


def postponed(ports: Ports, issuer: Issuer) -> Postponement | None:
    """The back-off of this issuer's registration and its reason. None if no registration failed, or if the
    issuer or its Secrets have changed since the failure. The back-off may already have ended. Raises
    StateUnavailable."""
    found = ports.issuer_records.postponed(issuer.ref)
    if (
        found is None or found.until > ports.clock.now() + 1.1 * backoff.WEEK
    ):  # written while a clock was ahead
        return None
    return found if found.cause == _cause(ports, issuer) else None


def refusal(ports: Ports, issuer: Issuer) -> Postponement | None:
    """The refusal of this issuer with its present Secrets within the last hour: a new request would get the
    same answer. None if there was no refusal."""
    found = postponed(ports, issuer)
    return found if found is not None and found.final and found.until > ports.clock.now() else None


def may_register_again(ports: Ports, refused: Postponement, *, is_first_try: bool) -> bool:
    """Whether a run asks the CA again although the issuer was refused. A new run does, because a person may
    have corrected the account at the CA; if many runs are new, one a minute does."""
    return is_first_try and ports.clock.now() >= refused.until - backoff.HOUR + backoff.MINUTE


def require_time(ports: Ports, issuer: Issuer) -> None:
    """Raises RegistrationPostponed, with `retry_after` in seconds, if the back-off has not ended."""
    found, now = postponed(ports, issuer), ports.clock.now()
    if found is not None and not found.final and found.until > now:
        raise RegistrationPostponed(
            f"the account of {issuer.reference} is not registered yet: {found.reason}",
            retry_after=found.until - now,
        )


def postpone(ports: Ports, issuer: Issuer, error: Temporary) -> None:
    """Start the back-off after a temporary error: its length depends on the error and the number of tries."""
    before = postponed(ports, issuer)
    tries = before.tries + 1 if before is not None else 1
    seconds = backoff.step_delay(error, tries, ports.jitter())
    found = Postponement(
        until=ports.clock.now() + seconds, tries=tries, reason=str(error), cause=_cause(ports, issuer)
    )
    ports.issuer_records.postpone(issuer.ref, found, kept_seconds=seconds + 2 * backoff.STEP.ceiling)


def give_up(ports: Ports, issuer: Issuer, error: CertmillError) -> None:
    """Record a refusal: for an hour no worker asks the CA again, unless a run needs the account."""
    until = ports.clock.now() + backoff.HOUR
    found = Postponement(until=until, tries=0, reason=str(error), cause=_cause(ports, issuer), final=True)
    ports.issuer_records.postpone(issuer.ref, found, kept_seconds=backoff.HOUR)


def _cause(ports: Ports, issuer: Issuer) -> str:
    """A digest of what a registration depends on. After a change of the issuer or its Secrets, the
    registration is tried again at once."""
    refs = [issuer.private_key] + (
        [issuer.external_account_binding.key_secret_ref] if issuer.external_account_binding else []
    )
    parts = [repr(issuer).encode()]
    for ref in refs:
        try:
            secret = ports.home.secret(ports.home.secrets_namespace(issuer), ref.name)
        except SecretUnusable as error:
            parts.append(str(error).encode())
        else:
            parts.append(secret.data.get(ref.key, b"") if secret is not None else b"")
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:24]
