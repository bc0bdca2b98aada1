"""A step, whole: claim (one call), act (the step's module), commit (one call). What was decided is in the
record before anybody is told.

If the process dies on any line, the lease ends, the tick rings the step again, and acting again is safe. If a
message is doubled or late, the claim fails and its chain ends there. If the lease was lost while we acted,
the commit fails and what we found out is found out again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from certmill.certificates.digest import digest
from certmill.certificates.reconcile import Reconciler
from certmill.errors import (
    AccountRefused,
    Busy,
    CertmillError,
    Conflict,
    DamagedValue,
    HomeUnavailable,
    NewerRelease,
    OrderGone,
    Permanent,
    StateUnavailable,
    StepKeepsDying,
    Temporary,
)
from certmill.home.base import Home
from certmill.issuers import account
from certmill.issuers import wait as issuer_wait
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.names import CertificateId
from certmill.observe import recording
from certmill.runs import backoff
from certmill.runs.attempt import Attempt
from certmill.runs.chain import CLEAN_UP, FIRST
from certmill.runs.context import LeaseLost, Ports, Work
from certmill.runs.facts import Facts
from certmill.runs.outcomes import (
    Drop,
    Failed,
    Finished,
    LeftToNewer,
    Outcome,
    Restart,
    StepResult,
    Wait,
    Waiting,
)
from certmill.runs.transitions import Transitions
from certmill.state.record import Record
from certmill.state.records import Unclaimed
from certmill.steps.clean_up import LONGEST_WAIT_SECONDS, MAX_TRIES, clean_up
from certmill.steps.table import STEPS

STORE = "store_secret"
_FOR_THE_OWNER = ("create_order", STORE)
"""What only the owner of the Secret may do: an older Certificate for it may have been seen since the run
began."""

UNREAD_POLL_SECONDS = 30.0
UNREAD_SECONDS = 3600.0
"""How long facts of a newer release wait for a worker of that release. After an hour it is not coming back;
the price is an order more."""


class Engine:
    """Runs steps. One per process."""

    def __init__(self, ports: Ports, reconciler: Reconciler) -> None:
        self._ports = ports
        self._reconciler = reconciler
        self._transitions = Transitions(ports, reconciler)

    def run(
        self,
        step: str,
        certificate: CertificateId,
        *,
        task_id: str,
        root_id: str,
        claimed: Record | None = None,
        next_task: Callable[[], str] = str,
    ) -> StepResult:
        """Claim, act, commit; the answer is what the task is to show. Raises nothing of certmill's.

        `claimed`: the step's record, if the commit of the step before claimed it for this task. `next_task`
        says, when this step is committed, under which task id the worker continues with the next one; "": it
        is published."""
        began = time.perf_counter()
        ports = self._ports

        def claim() -> Record | Unclaimed:
            if claimed is not None:
                return claimed
            now = ports.clock.now()
            return ports.records.claim(
                certificate, step, now=now, lease_seconds=ports.limits.lease, task_id=task_id, root_id=root_id
            )

        outcome, result = self._tried(step, certificate, claim, next_task)
        recording.sink().step(step, outcome, time.perf_counter() - began)
        return result

    def _tried(
        self,
        step: str,
        certificate: CertificateId,
        claim: Callable[[], Record | Unclaimed],
        next_task: Callable[[], str],
    ) -> tuple[str, StepResult]:
        """With what came out, in a word for the metrics."""
        ports = self._ports
        try:
            record = claim()
            if isinstance(record, Unclaimed):
                return "duplicate", Drop()
            now = ports.clock.monotonic()
            attempt = Attempt(
                ports=ports,
                certificate_id=certificate,
                step=step,
                record=record,
                facts=Facts(),
                renewed_at=now,
                next_task=next_task,
            )
            outcome = self._outcome(attempt)
            return outcome.word, self._transitions.end(attempt, outcome)
        except LeaseLost:
            return "lease-lost", Drop()
        except StateUnavailable as error:
            return "redis-away", Wait(reason=str(error), seconds=ports.limits.lease)

    def _outcome(self, attempt: Attempt) -> Outcome:
        """The step's outcome; what this release cannot read is left to a newer one for a while, and then the
        run is given up."""
        record, now = attempt.record, self._ports.clock.now()
        try:
            attempt.facts = Facts.from_json(record.facts).as_of(now)
        except NewerRelease as error:
            if now - (record.unread_since or now) < UNREAD_SECONDS:
                return LeftToNewer(reason=str(error), seconds=UNREAD_POLL_SECONDS)
            return self._given_up(attempt, error)
        except DamagedValue as error:
            return self._given_up(attempt, error)
        return self._act(attempt)

    def _given_up(self, attempt: Attempt, error: CertmillError) -> Outcome:
        """The next attempt comes after a back-off, and begins anew. What is up is in the journal, for the
        sweep."""
        attempt.unread = True
        return self._act(attempt) if attempt.step == CLEAN_UP else Failed(error=error, facts=Facts())

    def _act(self, attempt: Attempt) -> Outcome:
        """The step's outcome; every error of the tree becomes one."""
        try:
            if attempt.step == CLEAN_UP:
                return self._clean_up(attempt)
            if attempt.record.attempts > self._ports.limits.max_attempts:
                raise StepKeepsDying(
                    f"{attempt.step} was begun {attempt.record.attempts} times without an end; see the "
                    "workers' logs, then renew"
                )
            return self._step(attempt)
        except StateUnavailable:
            raise
        except OrderGone as error:
            reason = f"{error}; a new order is created"
            return Restart(step="create_order", reason=reason, facts=attempt.facts.without_order())
        except Busy as error:
            seconds = backoff.busy_delay(error, self._elapsed(attempt), self._ports.jitter())
            return Waiting(reason=str(error), seconds=seconds, counted=False, facts=attempt.facts)
        except Temporary as error:
            # Of a home's several troubles each may be over when the next is met: only one and the same makes
            # us slower.
            is_new = isinstance(error, HomeUnavailable | Conflict) and str(error) != attempt.record.reason
            seconds = backoff.step_delay(
                error, 1 if is_new else attempt.record.failures + 1, self._ports.jitter()
            )
            return Waiting(
                reason=str(error),
                seconds=seconds,
                failed=True,
                failure_class=error.failure_class,
                facts=attempt.facts,
            )
        except CertmillError as error:
            return Failed(error=error, facts=attempt.facts)

    def _step(self, attempt: Attempt) -> Outcome:
        certificate, issuer, spec = self._wanted(attempt)
        if certificate is None or certificate.deleting:
            return Restart(step=CLEAN_UP, reason="the Certificate was deleted", facts=attempt.facts)
        attempt.certificate = certificate
        if spec != attempt.record.spec:
            return Restart(step=CLEAN_UP, reason="the manifest changed; beginning again", facts=attempt.facts)
        if issuer is None:
            return issuer_wait.for_missing(self._fresh(), certificate)
        if attempt.step in _FOR_THE_OWNER and (other := self._reconciler.other_owner(certificate)):
            reason = f"Secret {certificate.secret_name} belongs to Certificate {other}"
            return Restart(step=CLEAN_UP, reason=reason, facts=attempt.facts)
        try:
            with self._ports.namespace_limit.of(issuer.namespace):
                return STEPS[attempt.step](self._work(attempt, certificate, issuer))
        except AccountRefused as error:
            if error.acme_type != account.LOST or attempt.step == FIRST:
                account.refused(self._ports, issuer, error)
                raise
            account.forget(self._ports, issuer)
            return Restart(step=FIRST, reason=str(error), facts=attempt.facts.without_order())

    def _work(self, attempt: Attempt, certificate: Certificate, issuer: Issuer) -> Work:
        return Work(
            ports=attempt.ports,
            certificate=certificate,
            issuer=issuer,
            record=attempt.record,
            facts=attempt.facts,
            keep=attempt.keep,
            hold=attempt.hold,
            store_temporary=lambda: self._reconciler.store_temporary(certificate),
            is_issuer_ready=lambda: issuer_wait.is_ready(self._fresh(), certificate),
        )

    def _fresh(self) -> Ports:
        """With the home itself, of whose reads none is old."""
        return replace(self._ports, home=self._reconciler.home)

    def _clean_up(self, attempt: Attempt) -> Finished:
        """Take down, or after MAX_TRIES leave it to the sweep; then say when to look again."""
        ports, facts = self._ports, attempt.facts
        certificate, issuer = self._begun_with(attempt)
        if attempt.record.attempts > ports.limits.max_attempts:
            ports.locks.release_of(attempt.record, attempt.certificate_id)
            return Finished(next_check=self._next_check(facts, certificate))
        try:
            clean_up(ports, attempt.certificate_id, issuer, attempt.record, facts, attempt.hold)
        except StateUnavailable:
            raise
        except Busy:  # no try of ours; but a run whose turn never comes must not go on for ever
            if self._elapsed(attempt) < LONGEST_WAIT_SECONDS:
                raise
        except Temporary:
            if attempt.record.tries < MAX_TRIES:
                raise
        return Finished(next_check=self._next_check(facts, certificate))

    def _elapsed(self, attempt: Attempt) -> float:
        return max(0.0, self._ports.clock.now() - attempt.record.since)

    def _wanted(self, attempt: Attempt) -> tuple[Certificate | None, Issuer | None, str]:
        """The manifests and their digest, as they were a while ago; with any sign that they have changed, and
        before the pair is stored, as they are now: a Certificate that is being deleted does not get its
        Secret back."""
        if not attempt.record.again:
            found = _read(self._ports.home, attempt.certificate_id)
            if found[2] == attempt.record.spec and not (
                attempt.step == STORE and self._is_deleted(attempt.certificate_id)
            ):
                return found
        return _read(self._reconciler.home, attempt.certificate_id)

    def _is_deleted(self, certificate: CertificateId) -> bool:
        """Whether the Certificate is deleted, or is being deleted, by a read of the home itself."""
        now = self._reconciler.home.certificate(certificate)
        return now is None or now.deleting

    def _begun_with(self, attempt: Attempt) -> tuple[Certificate | None, Issuer | None]:
        """The Certificate if it is still there, and the issuer that this run began with."""
        certificate, issuer, spec, facts = None, None, "", attempt.facts
        with suppress(Permanent):
            certificate, issuer, spec = self._wanted(attempt)
        if certificate is not None and spec == attempt.record.spec:
            return certificate, issuer
        with suppress(Permanent):  # with a solver of before a change, what is up would stay up
            issuer = self._reconciler.home.issuer(facts.issuer) if facts.issuer_name else None
        return certificate, issuer

    def _next_check(self, facts: Facts, certificate: Certificate | None) -> float:
        now, stored, failure = self._ports.clock.now(), facts.stored, facts.failure
        if failure is not None:
            return min(failure.next_attempt, self._next_attempt_in_status(certificate, now))
        if certificate is None or stored is None:
            return now
        return stored.not_before if stored.not_before > now else stored.renew_at

    def _next_attempt_in_status(self, certificate: Certificate | None, now: float) -> float:
        """As the status has it now: somebody may have changed it since the run failed. Infinity if it cannot
        be read."""
        with suppress(Permanent):
            status = self._ports.home.certificate_status(certificate.id) if certificate is not None else None
            if status is not None:
                return status.next_attempt if status.next_attempt is not None else now
        return math.inf


def _read(home: Home, certificate_id: CertificateId) -> tuple[Certificate | None, Issuer | None, str]:
    """The Certificate, its issuer, and the digest of both."""
    certificate = home.certificate(certificate_id)
    if certificate is None:
        return None, None, ""
    issuer = home.issuer(certificate.issuer)
    return certificate, issuer, digest(certificate, issuer)
