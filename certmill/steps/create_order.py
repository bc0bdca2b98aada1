"""Step 2: create an order for the identifiers. The key and the CSR are stored before the CA gets the order,
so that a crash cannot lose the key of an issued certificate."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import datetime, timedelta

from certmill.acme.client import AcmeClient
from certmill.acme.resources import Order
from certmill.certificates import secret_contract
from certmill.clock import instant
from certmill.crypto import chain, csr, keys
from certmill.errors import InvalidManifest, NameRefused, SecretUnusable
from certmill.issuers import account, account_check
from certmill.model.certificate import RotationPolicy
from certmill.model.secret import TLS_PRIVATE_KEY, Secret
from certmill.runs.backoff import poll_delay
from certmill.runs.facts import Facts
from certmill.runs.outcomes import Advanced, Outcome, Waiting
from certmill.runs.step_context import LeaseLost, StepContext
from certmill.state.locks import FenceOutdated
from certmill.steps import rate_limits
from certmill.steps.orders import lost, reuse

LOCK = "order"
LOCK_SECONDS = 7 * 24 * 3600.0
"""The longest time that an order may be pending. The clean-up releases the lock after each run."""


def create_order(context: StepContext) -> Outcome:
    """Continue the order that exists, or create one (RFC 8555 §7.4).

    The lock of the identifiers lets one Certificate at a time have an order for them: a CA may return the
    same order for two requests with the same identifiers."""
    secret = _require_writable_secret(context)
    if (waiting := _lock_identifiers(context)) is not None:
        return waiting
    acme = account.client(context.ports, context.issuer)
    now = context.ports.clock.now()
    same_set = rate_limits.renews_same_set(context, secret)
    order, facts = _own_order(acme, context.facts, now), context.facts
    if order is None and (order := lost.continuable(context, acme)) is not None:
        facts = _with_key_and_csr(context, facts)
    if order is None:
        tokens = rate_limits.order_tokens(context, secret, same_set=same_set)
        if (waiting := rate_limits.waiting(context, tokens)) is not None:
            return waiting
        with tokens.settled_after_errors():
            facts = _with_key_and_csr(context, facts)
            order = _new_order(context, acme)
    return Advanced(
        facts=replace(
            facts,
            order=order.url,
            finalize=order.finalize,
            authorizations=order.authorizations,
            order_expires=order.expires,
            same_set=same_set,
            finalized_at=None,
            answered_at=None,
        )
    )


def _lock_identifiers(context: StepContext) -> Waiting | None:
    """Lock the identifiers of the order for this Certificate. Returns a wait if another one owns the lock.
    Raises LeaseLost."""
    identifiers = ",".join(str(identifier) for identifier in context.certificate.identifiers)
    try:
        other = context.ports.locks.acquire_for_step(
            LOCK,
            context.facts.account,
            identifiers,
            context.issuer.profile,
            certificate=context.certificate_id,
            fence=context.record.fence,
            before=context.record.lock,
            seconds=LOCK_SECONDS,
        )
    except FenceOutdated:
        raise LeaseLost from None
    if other is None:
        return None
    reason = f"{other.owner} has an order for the same names under way"
    return Waiting(reason=reason, seconds=poll_delay(context.elapsed()))


def _new_order(context: StepContext, acme: AcmeClient) -> Order:
    try:
        order = acme.new_order(
            context.certificate.identifiers, profile=context.issuer.profile, not_after=_not_after(context)
        )
    except NameRefused as error:
        if error.acme_type == account_check.AMBIGUOUS:
            account_check.require_accepted(acme, context.issuer)
        raise
    context.ports.events.record_event(context.certificate, "Requested", f"Created order {order.url}")
    return order


def _require_writable_secret(context: StepContext) -> Secret | None:
    """The Certificate's Secret as it is now. Checks, before the request to the CA, that the pair can be
    stored: a failure after issuance would waste a certificate each time. Raises SecretUnusable,
    InvalidManifest."""
    certificate, home = context.certificate, context.ports.home
    try:
        secret = home.secret(certificate.namespace, certificate.secret_name)
    except SecretUnusable as error:
        raise SecretUnusable(
            f"the Secret {certificate.namespace}/{certificate.secret_name}, where the pair is to be stored, "
            f"cannot be used: {error}; "
            "delete it, or choose another spec.secretName"
        ) from error
    if taken := secret_contract.refusal_to_write(home, certificate, (context.issuer,), secret):
        raise InvalidManifest(taken, path="spec.secretName", source=f"Certificate {certificate.id}")
    return secret


def _own_order(acme: AcmeClient, facts: Facts, now: float) -> Order | None:
    """The order of an earlier attempt, if it can still give a certificate for the stored key."""
    if not facts.order or not facts.csr or reuse.is_expiring(facts.order_expires, now=now):
        return None
    return reuse.continuable(acme, facts.order, statuses=reuse.WITH_THE_SAME_KEY, now=now)


def _with_key_and_csr(context: StepContext, facts: Facts) -> Facts:
    """Store a new key and its CSR in the record. If an earlier try of the step has stored them, they are used
    again. Raises LeaseLost, SecretUnusable."""
    if facts.csr and context.record.sealed_key:
        return facts
    key_pem = _private_key(context)
    request = csr.build(context.certificate, key_pem)
    facts = replace(facts, csr=base64.b64encode(request).decode(), order="", finalize="", authorizations=())
    context.checkpoint(facts, sealed_key=context.ports.seal.seal(key_pem, context=context.certificate_id))
    return facts


def _private_key(context: StepContext) -> bytes:
    """A new key. With rotationPolicy Never, the key in the Secret if there is one. A stored key that cannot
    be read is replaced, as in cert-manager; so is a compromised one. Raises SecretUnusable if it is not of
    the kind that the spec wants."""
    certificate, spec = context.certificate, context.certificate.private_key
    if spec.rotation_policy is not RotationPolicy.NEVER:
        return keys.generate(spec)
    secret = context.ports.home.secret(certificate.namespace, certificate.secret_name)
    stored = secret.data.get(TLS_PRIVATE_KEY) if secret else None
    if not stored or _is_compromised(context, stored):
        return keys.generate(spec)
    name = f'"{certificate.secret_name}"'
    try:
        mismatch = keys.matches_spec(stored, spec)
    except SecretUnusable:
        message = f"Failed to decode private key stored in Secret {name} - generating new key"
        context.ports.events.record_event(certificate, "DecodeFailed", message, warning=True)
        return keys.generate(spec)
    if mismatch:
        message = (
            f"the key in Secret {certificate.namespace}/{certificate.secret_name} is not what is asked for "
            f"({mismatch}), and rotationPolicy Never keeps it: "
            "delete the Secret, or set rotationPolicy Always"
        )
        context.ports.events.record_event(
            certificate, "CannotRegenerateKey", f"User intervention required: {message}", warning=True
        )
        raise SecretUnusable(message)
    context.ports.events.record_event(
        certificate, "Reused", f"Reusing private key stored in existing Secret resource {name}"
    )
    return stored


def _is_compromised(context: StepContext, key_pem: bytes) -> bool:
    """Whether a certificate of this key was revoked for keyCompromise. The CA refuses such a key, and
    rotationPolicy Never must not keep it."""
    revoked = context.uncached.home.certificate_status(context.certificate_id).revoked
    if revoked is None or not revoked.is_key_compromised:
        return False
    try:
        return chain.key_of(key_pem) == revoked.public_key
    except SecretUnusable:
        return False


def _not_after(context: StepContext) -> datetime | None:
    """spec.duration as notAfter (RFC 8555 §7.4), only if the issuer has enableDurationFeature: Let's Encrypt
    rejects orders with notAfter."""
    if not context.issuer.enable_duration:
        return None
    duration = context.certificate.duration or timedelta(days=90)
    return instant(context.ports.clock.now()) + duration
