"""Step 4: look, as the CA will, whether every challenge can be seen. One look a step; waiting is data."""

from __future__ import annotations

from certmill.acme import challenges as acme_challenges
from certmill.acme.jws import AccountKey
from certmill.errors import AccountRefused, Busy, DnsUnavailable, NameRefused
from certmill.pipeline import account, solvers
from certmill.pipeline.backoff import poll_delay
from certmill.pipeline.context import Work
from certmill.pipeline.facts import ChallengeFacts
from certmill.pipeline.outcome import Advanced, Failed, Outcome, Waiting

_LINGER_SECONDS = (0.05, 0.15, 0.3)


def wait_for_propagation(work: Work) -> Outcome:
    """Advance when all can be seen; else wait with the reason, until the deadline of settings."""
    reason = ""
    for pause in (*_LINGER_SECONDS, 0.0):
        reason, may_linger = _not_yet(work)
        if not reason:
            return Advanced(facts=work.facts)
        if not may_linger or not pause or not work.first_look:
            break
        work.ports.clock.pause(pause)
    elapsed = work.elapsed()
    if elapsed >= work.ports.limits.propagation_timeout:
        return Failed(
            error=NameRefused(f"{reason}; given up after {elapsed / 60:.0f} min: see that this is public, then renew"), facts=work.facts
        )
    return Waiting(reason=reason, seconds=poll_delay(elapsed))


def _not_yet(work: Work) -> tuple[str, bool]:
    """("", _) if every challenge can be seen, else why not, and whether a moment's linger may help."""
    for challenge in work.facts.challenges:
        work.hold()
        solver = solvers.pick(work.issuer, challenge.name, labels=work.certificate.labels, offered=(challenge.type,))
        if solver.wait_instead_of_self_check is not None:
            left = (work.facts.presented_at or 0.0) + solver.wait_instead_of_self_check.total_seconds() - work.ports.clock.now()
            reason = f"{challenge.name}: the solver waits {solver.wait_instead_of_self_check} instead of a self check" if left > 0 else ""
            lingering = False
        elif solver.dns01 is not None:
            reason, lingering = _dns01(work, challenge)
        else:
            reason, lingering = _http01(work, challenge)
        if reason:
            return reason, lingering
    return "", False


def _dns01(work: Work, challenge: ChallengeFacts) -> tuple[str, bool]:
    solver = solvers.pick(work.issuer, challenge.name, labels=work.certificate.labels, offered=(solvers.DNS01,))
    assert solver.dns01 is not None
    try:
        with work.lane() as seconds:
            seen = work.ports.checks.visible(challenge.record_name, challenge.value, challenge.zone, solver.dns01, timeout_seconds=seconds)
    except (DnsUnavailable, Busy) as error:
        return str(error), False
    return ("", False) if seen.visible else (f"{challenge.name}: {seen.reason}", True)


def _http01(work: Work, challenge: ChallengeFacts) -> tuple[str, bool]:
    found = account.registered(work.ports, work.issuer)
    if found is None:
        raise AccountRefused(f"the account of {work.issuer.reference} changed while its order was under way")
    expected = acme_challenges.key_authorization(challenge.token, AccountKey.from_pem(found.key_pem).thumbprint)
    try:
        with work.lane() as seconds:
            probe = work.ports.checks.probe(challenge.identifier, challenge.token, expected, timeout_seconds=seconds)
    except Busy as error:
        return str(error), False
    return ("", False) if probe.ok else (probe.reason, False)
