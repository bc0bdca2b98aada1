"""A step, whole: claim (one call), act (the step's module), commit (one call). What was decided is in the record before anybody is told.

If the process dies on any line, the lease ends, the tick rings the step again, and acting again is safe. If a message is doubled or late,
the claim fails
and its chain ends there. If the lease was lost while we acted, the commit fails and what we found out is found out again.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field, replace

from certmill.errors import (
    AccountRefused,
    CertificateWrong,
    CertmillError,
    Conflict,
    FailureClass,
    Forbidden,
    HomeUnavailable,
    InvalidManifest,
    NotFound,
    OrderGone,
    Permanent,
    StateUnavailable,
    StepKeepsDying,
    Temporary,
)
from certmill.home.base import Home
from certmill.model.certificate import Certificate, IssuerRef
from certmill.model.issuer import Issuer, reference
from certmill.model.names import CertificateId
from certmill.observe.log import get_logger
from certmill.pipeline import account, backoff, conditions
from certmill.pipeline.clean_up import MAX_TRIES, clean_up
from certmill.pipeline.context import LeaseLost, Ports, Work
from certmill.pipeline.facts import Facts, Failure
from certmill.pipeline.flow import CLEAN_UP, FIRST, STEPS, next_step
from certmill.pipeline.outcome import Advanced, Back, Fail, Failed, Finished, Outcome, Proceed, StepResult, Stop, Wait, Waiting
from certmill.pipeline.reconcile import Reconciler
from certmill.pipeline.spec import digest
from certmill.state.records import Due, Record, Unclaimed

MAX_RESTARTS = 3
LONG_WAIT_SECONDS = 60.0
_MOST_REASONS = 8
"""A run tells of no more: should a reason ever change from poll to poll, the API is not to be written to at each."""
CSR_REFUSED = ("badCSR", "badPublicKey")
HOME_REFUSES = (Forbidden, NotFound, InvalidManifest)
"""A missing role or namespace is no fault of the certificate: the next attempt stores the one that was issued, and buys no other."""
_FOR_THE_OWNER = ("create_order", "store_secret")
"""What only the owner of the Secret may do: an older Certificate for it may have been seen since the run began."""
_REUSE_AFTER = (FailureClass.TRANSIENT, FailureClass.RATE_LIMITED, FailureClass.CONFIGURATION, FailureClass.CA_REFUSES_US)


log = get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One claimed step: what the record said, and the newest facts."""

    ports: Ports
    certificate_id: CertificateId
    step: str
    record: Record
    facts: Facts = field(repr=False)
    renewed_at: float
    certificate: Certificate | None = None

    def keep(self, facts: Facts, sealed_key: str | None) -> None:
        """Keep facts in the middle of the step. Raises LeaseLost."""
        fields = {"facts": facts.to_json()} | ({"key": sealed_key} if sealed_key is not None else {})
        limits, now = self.ports.limits, self.ports.clock.now()
        if not self.ports.records.keep(self.certificate_id, fence=self.record.fence, now=now, lease_seconds=limits.lease, fields=fields):
            raise LeaseLost
        self.facts, self.renewed_at = facts, now
        if sealed_key is not None:
            self.record = replace(self.record, sealed_key=sealed_key)

    def hold(self) -> None:
        """Renew the lease when a third of it has gone by. Raises LeaseLost."""
        if self.ports.clock.now() - self.renewed_at > self.ports.limits.lease / 3:
            self.keep(self.facts, None)

    def tell(self, reason: str, message: str, *, warning: bool = False) -> None:
        """Tell people, once it is committed."""
        if self.certificate is not None:
            self.ports.events.tell(self.certificate, reason, message, warning=warning)

    def note_wait(self, reason: str) -> None:
        """Show in the Certificate's status what its run waits for. Best effort, as an event is."""
        if self.certificate is None:
            return
        home = self.ports.home
        with suppress(CertmillError):
            home.write_certificate_status(self.certificate_id, conditions.waiting(home.certificate_status(self.certificate_id), reason))

    def commit(self, *, step: str, due: Due, at: float, fields: dict[str, str], drop: tuple[str, ...] = ()) -> None:
        """End the step. Raises LeaseLost."""
        if step != self.step:
            fields = {**fields, "since": f"{self.ports.clock.now():.3f}"}
        if not self.ports.records.commit(self.certificate_id, fence=self.record.fence, step=step, due=due, at=at, fields=fields, drop=drop):
            raise LeaseLost


class Engine:
    """Runs steps. One per process."""

    def __init__(self, ports: Ports, reconciler: Reconciler) -> None:
        self._ports = ports
        self._reconciler = reconciler

    def run(self, step: str, certificate: CertificateId, *, task_id: str, root_id: str) -> StepResult:
        """Claim, act, commit; the answer is what the task is to show. Raises nothing of certmill's."""
        ports = self._ports
        try:
            record = ports.records.claim(
                certificate, step, now=ports.clock.now(), lease_seconds=ports.limits.lease, task_id=task_id, root_id=root_id
            )
            if isinstance(record, Unclaimed):
                return Stop()
            facts, now = Facts.read(record.facts), ports.clock.now()
            attempt = Attempt(ports=ports, certificate_id=certificate, step=step, record=record, facts=facts or Facts(), renewed_at=now)
            return self._end(attempt, self._act(attempt) if facts is not None else _unreadable(step))
        except LeaseLost:
            return Stop()
        except StateUnavailable as error:
            return Wait(reason=str(error), seconds=ports.limits.lease)

    def _act(self, attempt: Attempt) -> Outcome:
        """The step's outcome; every error of the tree becomes one."""
        try:
            if attempt.step == CLEAN_UP:
                return self._clean_up(attempt)
            if attempt.record.attempts > self._ports.limits.max_attempts:
                raise StepKeepsDying(
                    f"{attempt.step} was begun {attempt.record.attempts} times without an end; see the workers' logs, then renew"
                )
            return self._step(attempt)
        except StateUnavailable:
            raise
        except OrderGone as error:
            return Back(step="create_order", reason=str(error), facts=attempt.facts.without_order())
        except Temporary as error:
            # Of a home's several troubles each may be over when the next is met: only one and the same makes us slower.
            is_new = isinstance(error, HomeUnavailable | Conflict) and str(error) != attempt.record.reason
            seconds = backoff.step_delay(error, 1 if is_new else attempt.record.failures + 1, self._ports.jitter())
            return Waiting(reason=str(error), seconds=seconds, failed=True, facts=attempt.facts)
        except CertmillError as error:
            return Failed(error=error, facts=attempt.facts)

    def _step(self, attempt: Attempt) -> Outcome:
        ports = self._ports
        certificate, issuer, spec = self._wanted(attempt)
        if certificate is None:
            return Back(step=CLEAN_UP, reason="the Certificate was deleted", facts=attempt.facts)
        attempt.certificate = certificate
        if spec != attempt.record.spec:
            return Back(step=CLEAN_UP, reason="the manifest changed; beginning again", facts=attempt.facts)
        if issuer is None:
            ref = certificate.issuer_ref
            raise NotFound(f"{ref.kind or 'Issuer'} {ref.name} of Certificate {certificate.id} is not there; apply it")
        if attempt.step in _FOR_THE_OWNER and (other := self._reconciler.other_owner(certificate)):
            reason = f"Secret {certificate.secret_name} belongs to Certificate {other}"
            return Back(step=CLEAN_UP, reason=reason, facts=attempt.facts)
        work = Work(
            ports=ports,
            certificate=certificate,
            issuer=issuer,
            record=attempt.record,
            facts=attempt.facts,
            keep=attempt.keep,
            hold=attempt.hold,
        )
        try:
            return STEPS[attempt.step](work)
        except AccountRefused as error:
            if error.acme_type != account.LOST or attempt.step == FIRST:
                account.refused(ports, issuer, error)
                raise
            account.forget(ports, issuer)
            return Back(step=FIRST, reason=str(error), facts=attempt.facts.without_order())

    def _clean_up(self, attempt: Attempt) -> Finished:
        """Take down, or after MAX_TRIES leave it to the sweep; then say when to look again."""
        ports, facts = self._ports, attempt.facts
        certificate, issuer = self._begun_with(attempt)
        if attempt.record.attempts > ports.limits.max_attempts:
            ports.locks.release_of(attempt.record, attempt.certificate_id)
            return Finished(look_again=self._look_again(facts, certificate))
        try:
            clean_up(ports, attempt.certificate_id, issuer, attempt.record, facts, attempt.hold)
        except StateUnavailable:
            raise
        except Temporary:
            if attempt.record.tries < MAX_TRIES:
                raise
        return Finished(look_again=self._look_again(facts, certificate))

    def _wanted(self, attempt: Attempt) -> tuple[Certificate | None, Issuer | None, str]:
        """The manifests and their digest, as they were a while ago; with any sign that they have changed, as they are now."""
        if not attempt.record.again:
            found = _read(self._ports.home, attempt.certificate_id)
            if found[2] == attempt.record.spec:
                return found
        return _read(self._reconciler.home, attempt.certificate_id)

    def _begun_with(self, attempt: Attempt) -> tuple[Certificate | None, Issuer | None]:
        """The Certificate if it is still there, and the issuer that this run began with."""
        certificate, issuer, spec, facts = None, None, "", attempt.facts
        with suppress(Permanent):
            certificate, issuer, spec = self._wanted(attempt)
        if certificate is not None and spec == attempt.record.spec:
            return certificate, issuer
        with suppress(Permanent):  # with a solver of before a change, what is up would stay up
            ref = IssuerRef(name=facts.issuer_name, kind=facts.issuer_kind)
            issuer = self._reconciler.home.issuer(ref, facts.issuer_namespace) if facts.issuer_name else None
        return certificate, issuer

    def _look_again(self, facts: Facts, certificate: Certificate | None) -> float:
        if facts.failure is not None:
            status = None
            with suppress(Permanent):
                status = self._ports.home.certificate_status(certificate.id) if certificate is not None else None
            if status is None:
                return facts.failure.next_attempt
            next_attempt = status.next_attempt  # whoever changed it meanwhile
            return min(facts.failure.next_attempt, next_attempt if next_attempt is not None else self._ports.clock.now())
        return facts.stored.renew_at if certificate is not None and facts.stored is not None else self._ports.clock.now()

    def _end(self, attempt: Attempt, outcome: Outcome) -> StepResult:
        """Commit, and say what the task is to show."""
        match outcome:
            case Advanced():
                return self._advance(attempt, outcome)
            case Waiting():
                return self._wait(attempt, outcome)
            case Back():
                return self._go_back(attempt, outcome)
            case Failed():
                return self._fail(attempt, outcome)
            case Finished():
                return self._finish(attempt, outcome)

    def _advance(self, attempt: Attempt, outcome: Advanced) -> StepResult:
        at = self._ports.clock.now() + self._ports.limits.grace
        attempt.commit(
            step=next_step(attempt.step), due=Due.IN_FLIGHT, at=at, fields={"facts": outcome.facts.to_json()}, drop=("reason", "due")
        )
        return Proceed()

    def _wait(self, attempt: Attempt, outcome: Waiting) -> StepResult:
        """Each thing that a run waits for is told once, and once more in the status when it takes long."""
        now, record, reason = self._ports.clock.now(), attempt.record, outcome.reason
        at = now + outcome.seconds
        facts = outcome.facts if outcome.facts is not None else attempt.facts
        is_long = max(outcome.seconds, now - record.since) >= LONG_WAIT_SECONDS
        told, noted = _with_reason(facts.told, reason), _with_reason(facts.noted, reason) if is_long else facts.noted
        fields = {"facts": replace(facts, told=told, noted=noted).to_json(), "reason": reason, "due": f"{at:.3f}"}
        fields |= {"tries": str(record.tries + 1), "failures": str(record.failures + 1 if outcome.failed else 0)}
        attempt.commit(step=attempt.step, due=Due.WAITING, at=at, fields=fields)
        if told != facts.told:
            attempt.tell("Waiting", reason)
        if noted != facts.noted:
            attempt.note_wait(reason)
        return Wait(reason=reason, seconds=outcome.seconds)

    def _go_back(self, attempt: Attempt, outcome: Back) -> StepResult:
        """To an earlier step, or to the clean-up. Only so often: a CA that forgets each order must not get one a second."""
        facts = replace(outcome.facts, restarts=outcome.facts.restarts + 1)
        if facts.restarts > MAX_RESTARTS and outcome.step != CLEAN_UP:
            return self._fail(attempt, Failed(error=StepKeepsDying(f"begun again {MAX_RESTARTS} times: {outcome.reason}"), facts=facts))
        soon = outcome.step == CLEAN_UP or facts.restarts == 1
        seconds = 0.0 if soon else backoff.STEP.delay(facts.restarts, self._ports.jitter())
        now = self._ports.clock.now()
        fields = {"facts": facts.to_json(), "reason": outcome.reason, "due": f"{now + seconds:.3f}"}
        if soon:
            attempt.commit(step=outcome.step, due=Due.IN_FLIGHT, at=now + self._ports.limits.grace, fields=fields)
        else:
            attempt.commit(step=outcome.step, due=Due.WAITING, at=now + seconds, fields=fields)
        return Stop(ring=soon)

    def _fail(self, attempt: Attempt, outcome: Failed) -> StepResult:
        """The run ends without a certificate: its status says why and when the next begins; the clean-up is rung at once."""
        ports, now, error = self._ports, self._ports.clock.now(), outcome.error
        attempt.keep(attempt.facts, None)  # still ours: a worker that was away for long must not say that the run of another failed
        try:
            failure = self._written(attempt, error, now)
        except Temporary as away:
            seconds = backoff.step_delay(away, attempt.record.failures + 1, ports.jitter())
            return self._wait(attempt, Waiting(reason=str(away), seconds=seconds, failed=True))
        facts = replace(outcome.facts, failure=failure)
        not_stored = attempt.step == "store_secret" and not isinstance(error, HOME_REFUSES)
        if isinstance(error, CertificateWrong | StepKeepsDying) or not_stored or error.acme_type in CSR_REFUSED:
            facts = replace(facts, order="", csr="")
        fields = {"facts": facts.to_json(), "reason": str(error), "due": f"{failure.next_attempt:.3f}"}
        attempt.commit(step=CLEAN_UP, due=Due.IN_FLIGHT, at=now + ports.limits.grace, fields=fields)
        attempt.tell(conditions.FAILED, conditions.failed_message(failure.message), warning=True)
        return Fail(message=str(error))

    def _written(self, attempt: Attempt, error: CertmillError, now: float) -> Failure:
        """The failure, in the status too. Where a role for that is gone, perhaps with its namespace, the run ends without."""
        home, costly = self._ports.home, attempt.step == "store_secret"

        def failure(attempts: int) -> Failure:
            delay = backoff.run_delay(error, attempts, self._ports.jitter(), costly=costly)
            return Failure(failure_class=error.failure_class, message=str(error), next_attempt=now + delay)

        try:
            status = home.certificate_status(attempt.certificate_id)
            failed = failure(status.failed_issuance_attempts + 1)
            status = conditions.failed(status, failed, spec=attempt.record.spec, now=now)
            home.write_certificate_status(attempt.certificate_id, status)
        except Permanent as refused:
            log.warning("status.refused", certificate=attempt.certificate_id, reason=str(refused))
            return failure(1)
        return failed

    def _finish(self, attempt: Attempt, outcome: Finished) -> StepResult:
        """The run is over. What is idle is small: facts stay only if the next attempt can go on with their order."""
        ports, facts, record = self._ports, attempt.facts, attempt.record
        failure = facts.failure
        fields = {"done": str(record.run), "result": "issued" if facts.stored else (failure.message if failure else "ended")}
        drop = ["task", "root", "since", "tries", "failures", "begun", "due", "reason", "lock"]
        if failure is not None and failure.failure_class in _REUSE_AFTER and facts.order and facts.csr:
            fields["facts"] = facts.reusable().to_json()
        else:
            drop += ["facts", "key"]
        if failure is not None and facts.stored is None:
            fields |= {"due": f"{failure.next_attempt:.3f}", "reason": failure.message}
            drop = [name for name in drop if name not in fields]
            self._note_failing(attempt)
        attempt.commit(step="", due=Due.RENEWALS, at=outcome.look_again, fields=fields, drop=tuple(drop))
        if ports.records.again(attempt.certificate_id) or (facts.stored is None and failure is None):
            return self._go_on(attempt)
        if facts.stored is not None and facts.stored.recovered:
            ports.sightings.forget_failing(
                reference(facts.issuer_kind, facts.issuer_namespace, facts.issuer_name), [attempt.certificate_id]
            )
        return Proceed()

    def _go_on(self, attempt: Attempt) -> StepResult:
        """The run is over, and another is wanted. If it cannot be begun now, the tick does: it is due."""
        try:
            return Stop(ring=self._reconciler.reconcile(attempt.certificate_id, root_id=attempt.record.root_id).ring)
        except CertmillError:
            return Stop()

    def _note_failing(self, attempt: Attempt) -> None:
        try:
            certificate = self._ports.home.certificate(attempt.certificate_id)
        except CertmillError:
            return
        if certificate is not None:
            ref = certificate.issuer_ref
            self._ports.sightings.note_failing(reference(ref.kind, certificate.namespace, ref.name), attempt.certificate_id)


def _read(home: Home, certificate_id: CertificateId) -> tuple[Certificate | None, Issuer | None, str]:
    """The Certificate, its issuer, and the digest of both."""
    certificate = home.certificate(certificate_id)
    if certificate is None:
        return None, None, ""
    issuer = home.issuer(certificate.issuer_ref, certificate.namespace)
    return certificate, issuer, digest(certificate, issuer)


def _with_reason(known: tuple[str, ...], reason: str) -> tuple[str, ...]:
    """With the digest of another reason, if there is room."""
    one = hashlib.sha256(reason.encode()).hexdigest()[:8]
    return known if one in known or len(known) >= _MOST_REASONS else (*known, one)


def _unreadable(step: str) -> Outcome:
    """Another release wrote what the run has found out: it begins again, and the sweep takes down what is up."""
    if step == CLEAN_UP:
        return Back(step=CLEAN_UP, reason="what this run found out cannot be read by this release", facts=Facts())
    return Back(step=FIRST, reason="what this run found out cannot be read by this release; beginning again", facts=Facts())
