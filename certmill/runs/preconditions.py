"""What must hold before a step runs: the Certificate exists and is unchanged, its issuer exists, and no other
Certificate owns its Secret."""

from __future__ import annotations

from certmill.certificates.reconcile import Reconciler
from certmill.issuers import wait as issuer_wait
from certmill.model.certificate import Certificate
from certmill.runs.chain import CLEAN_UP, FIRST
from certmill.runs.outcomes import Outcome, Restart
from certmill.runs.step_context import StepContext
from certmill.steps import manifests
from certmill.steps.preflight import fallback_faults
from certmill.steps.table import Step

FALLBACK_NOT_READY = "FallbackNotReady"
"""The reason of the event for a fall-back issuer that could not issue."""

_MOST_WARNINGS = 5


def unmet(context: StepContext, step: Step, reconciler: Reconciler) -> Outcome | None:
    """The outcome of a step that must not run now, or None. Sets the context's manifests.

    Raises CertmillError if the home or Redis is not available, or if a manifest is not valid."""
    found = manifests.read(context, before_store=step.stores)
    certificate = found.certificate
    if certificate is None or certificate.deleting:
        return _end(context, "the Certificate was deleted")
    context.found_certificate = certificate
    if found.candidate is None:
        return _end(context, "the manifest changed; beginning again")
    issuer = found.candidate.identity
    context.facts, context.found_issuer = context.facts.with_issuer(issuer), found.candidate.issuer
    if context.found_issuer is None:
        return issuer_wait.for_missing(context.uncached, certificate, issuer)
    if step.needs_ownership and (other := reconciler.other_owner(certificate)):
        return _end(context, f"Secret {certificate.secret_name} belongs to Certificate {other}")
    if context.step == FIRST and context.is_first_try and issuer == certificate.issuer:
        _warn_of_fallback_issuers(context, certificate)
    return None


def _warn_of_fallback_issuers(context: StepContext, certificate: Certificate) -> None:
    """Record an event if a fall-back issuer could not issue: before it is needed, once a run."""
    for fault in fallback_faults(context.ports.home, certificate)[:_MOST_WARNINGS]:
        context.ports.events.record_event(certificate, FALLBACK_NOT_READY, fault, warning=True)


def _end(context: StepContext, reason: str) -> Restart:
    return Restart(step=CLEAN_UP, reason=reason, facts=context.facts)
