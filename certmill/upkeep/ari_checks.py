"""Asks the CA of each certificate for its renewal information (RFC 9773), when that is due. A new window
reschedules the renewal at once.

A CA that does not answer delays no renewal: the window that is known, or the lifetime, decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from certmill.acme.ari import RenewalInfo
from certmill.certificates import secret_contract, statuses, temporary
from certmill.certificates.candidates import candidates_for, with_fallbacks
from certmill.certificates.reconcile import Reconciler
from certmill.crypto import chain
from certmill.errors import CertmillError, StateUnavailable, Temporary
from certmill.issuers import account
from certmill.model.ari import AriStatus
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.names import CertificateId
from certmill.model.status import CertificateStatus
from certmill.observe.log import get_logger
from certmill.renewal import ari
from certmill.renewal.plan import plan
from certmill.runs.ports import Ports

CHECKS_LIMIT: Final = 500
"""The most requests of one tick."""
CHECKS_SECONDS: Final = 20.0
"""The time for them: a slow CA does not hold up the other ticks."""
_LOST_SECONDS: Final = 600.0
"""After this time a certificate is checked again if this worker died, or the home did not answer."""
_MOST_FAILURES: Final = 3
"""So many requests to one CA fail in a tick; then it is not asked again before the next one."""
_WORTH_WRITING_SECONDS: Final = 86_400.0
"""How old the times in a status may become if nothing else changes: each write is a request to the home."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A stored pair, and the issuer that has issued it."""

    certificate: Certificate
    status: CertificateStatus
    leaf: chain.Leaf
    issuer: Issuer


@dataclass(frozen=True, slots=True, kw_only=True)
class AriChecks:
    """One tick of checks."""

    ports: Ports
    reconciler: Reconciler
    _failures: Counter[str] = field(default_factory=Counter)

    def run(self) -> int:
        """Make the requests that are due, until time runs out. Returns their number."""
        checks, clock = self.ports.ari_checks, self.ports.clock
        began, now = clock.monotonic(), clock.now()
        due = checks.take(now=now, again_at=now + _LOST_SECONDS, limit=CHECKS_LIMIT)
        for number, certificate_id in enumerate(due):
            if clock.monotonic() - began > CHECKS_SECONDS:
                for later in due[number:]:
                    checks.schedule(later, at=now)
                return number
            try:
                self._check(certificate_id)
            except StateUnavailable:
                raise
            except CertmillError as error:
                log.warning("ari.postponed", certificate=certificate_id, reason=str(error))
        return len(due)

    def _check(self, certificate_id: CertificateId) -> None:
        """Ask the CA of one certificate, and schedule the next request."""
        ports = self.ports
        pair = _stored_pair(ports, certificate_id)
        if pair is None:
            ports.ari_checks.drop(certificate_id)
            return
        server, now = pair.issuer.server, ports.clock.now()
        if self._failures[server] >= _MOST_FAILURES:
            later = ari.after_failure(None, now, ports.jitter(), retry_after=None)
            ports.ari_checks.schedule(certificate_id, at=now + later)
            return
        try:
            acme = account.client(ports, pair.issuer)
            info = acme.renewal_info(pair.leaf.cert_id) if acme.directory().renewal_info else None
        except CertmillError as error:
            self._failures[server] += 1
            self._failed(pair, error)
            return
        self._failures[server] = 0
        if info is None:
            ports.ari_checks.drop(certificate_id)
        else:
            self._answered(pair, info)

    def _answered(self, pair: _Pair, info: RenewalInfo) -> None:
        now = self.ports.clock.now()
        known = ari.known(pair.status, pair.leaf)
        at = now + ari.after_answer(info.retry_after, self.ports.jitter())
        found = replace(
            known or AriStatus(),
            cert_id=pair.leaf.cert_id,
            start=_seconds(info.start),
            end=_seconds(info.end),
            explanation_url=info.explanation_url,
            last_checked=_seconds(now),
            next_check=_seconds(at),
            last_error="",
        )
        is_new = known is None or known.window != found.window
        if is_new:  # an ordinary window ends too, while the Certificate waits for renewal.windows
            found = replace(found, at_once=info.end <= now)
        self._note(pair, known, found, at=at)

    def _failed(self, pair: _Pair, error: CertmillError) -> None:
        """What is known of the window stays."""
        now = self.ports.clock.now()
        known = ari.known(pair.status, pair.leaf)
        asked = error.retry_after if isinstance(error, Temporary) else None
        at = now + ari.after_failure(known, now, self.ports.jitter(), retry_after=asked)
        failed = replace(
            known or AriStatus(),
            cert_id=pair.leaf.cert_id,
            last_checked=_seconds(now),
            next_check=_seconds(at),
            last_error=str(error),
        )
        self._note(pair, known, failed, at=at)

    def _note(self, pair: _Pair, known: AriStatus | None, found: AriStatus, *, at: float) -> None:
        """Write the status if it has changed, schedule the next request, and let a changed renewal time take
        effect now."""
        ports, certificate = self.ports, pair.certificate
        if is_worth_writing(known, found):
            statuses.update(ports.home, certificate.id, self._with(pair, found))
        ports.ari_checks.schedule(certificate.id, at=at)
        if found.last_error and (known is None or known.last_error != found.last_error):
            log.warning("ari.failed", certificate=certificate.id, reason=found.last_error)
        before, after = (
            plan(certificate, pair.leaf, ari=one, jitter_seconds=ports.limits.renewal_jitter)
            for one in (known, found)
        )
        if before.check_at != after.check_at:
            log.info(
                "ari.window",
                certificate=certificate.id,
                start=found.start,
                end=found.end,
                renew_at=after.instant,
                explanation=found.explanation_url,
            )
            self.reconciler.reconcile(certificate.id)

    def _with(self, pair: _Pair, found: AriStatus) -> Callable[[CertificateStatus], CertificateStatus]:
        """The change of a status. A run may have stored another pair since: then the status stays."""
        jitter = self.ports.limits.renewal_jitter
        renewal = plan(pair.certificate, pair.leaf, ari=found, jitter_seconds=jitter)

        def changed(status: CertificateStatus) -> CertificateStatus:
            if (status.not_before, status.not_after) != (pair.status.not_before, pair.status.not_after):
                return status
            return replace(status, ari=found, renewal_time=renewal.instant)

        return changed


def _stored_pair(ports: Ports, certificate_id: CertificateId) -> _Pair | None:
    """The pair in the Certificate's Secret. None if there is nothing to ask for: then a run or a
    reconciliation schedules the next check. Raises the errors of the home."""
    observed = ports.home.observe(certificate_id)
    if observed is None or observed.certificate.deleting:
        return None
    candidates = candidates_for(ports.home, observed.certificate)
    certificate = with_fallbacks(observed.certificate, candidates)
    secret = temporary.read(ports.home, certificate)[0]
    leaf = secret_contract.issued_leaf(secret)
    ref = secret_contract.candidate_in(secret, certificate) if secret is not None else None
    issuer = next((one.issuer for one in candidates if one.ref == ref), None)
    if leaf is None or not leaf.cert_id or issuer is None or not issuer.uses_ari:
        return None
    return _Pair(certificate=certificate, status=observed.status, leaf=leaf, issuer=issuer)


def is_worth_writing(before: AriStatus | None, after: AriStatus) -> bool:
    """Whether the status is written: when something else than its times has changed, or when an answer is a
    day newer. The times of a failure stay those of the first one. Pure."""
    if before is None or replace(after, last_checked=None, next_check=None) != replace(
        before, last_checked=None, next_check=None
    ):
        return True
    written, checked = before.last_checked or 0.0, after.last_checked or 0.0
    return not after.last_error and checked - written >= _WORTH_WRITING_SECONDS


def _seconds(instant: float) -> float:
    """Whole seconds: homes store instants to the second."""
    return float(int(instant))
