"""Step 1: make sure that the issuer has an account at its CA."""

from __future__ import annotations

from dataclasses import replace

from certmill.errors import (
    AccountRefused,
    Busy,
    InvalidManifest,
    NotFound,
    SecretUnusable,
    StateUnavailable,
    Temporary,
)
from certmill.issuers import account, registration_backoff
from certmill.issuers import wait as issuer_wait
from certmill.runs.outcomes import Advanced, Outcome, Waiting
from certmill.runs.step_context import StepContext

_ERRORS_OF_THE_ISSUER = (AccountRefused, InvalidManifest, NotFound, SecretUnusable)


def register_account(context: StepContext) -> Outcome:
    """Use the issuer's registered account, or register it (RFC 8555 §7.3). If the issuer is not Ready, the
    run waits for it."""
    issuer = context.issuer
    try:
        found = account.ready(context.ports, issuer) or _register(context)
    except _ERRORS_OF_THE_ISSUER as error:
        return issuer_wait.for_refused(context, str(error))
    except StateUnavailable:
        raise
    except Temporary as error:
        is_being_registered = isinstance(error, Busy) and error.retry_after is None
        if not is_being_registered and (ready := issuer_wait.note(context)) is not None:
            return ready
        raise
    if isinstance(found, Waiting):
        return found
    return Advanced(facts=replace(context.facts, account=found.uri))


def _register(context: StepContext) -> account.Account | Waiting:
    """Register the account, or wait if the CA has refused it and must not be asked again yet. Raises the
    errors of `account.register`."""
    ports, issuer = context.ports, context.issuer
    refusal = registration_backoff.refusal(ports, issuer)
    if refusal is not None and not registration_backoff.may_register_again(
        ports, refusal, is_first_try=context.is_first_try
    ):
        return issuer_wait.for_refused(context, refusal.reason)
    return account.register(ports, issuer, owner=context.certificate_id)
