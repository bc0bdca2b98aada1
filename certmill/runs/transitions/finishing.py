"""Ends the clean-up, and with it the run: the record becomes idle, with the time of the next check."""

from __future__ import annotations

from certmill.certificates.reconcile import Reconciler
from certmill.errors import CertmillError, FailureClass
from certmill.issuers import failures as issuer_failures
from certmill.model.trigger import Trigger
from certmill.observe import certificates
from certmill.runs.facts import Facts
from certmill.runs.outcomes import Drop, Finished, Proceed, StepResult
from certmill.runs.step_context import StepContext
from certmill.runs.transitions import commits
from certmill.state.record import RunResult
from certmill.state.records import Due

_FIELDS_OF_A_RUN = (
    "task",
    "root",
    "since",
    "tries",
    "failures",
    "begun",
    "due",
    "reason",
    "lock",
    "unread_since",
    "wait_class",
    "fallback",
)
_REUSE_AFTER = (
    FailureClass.TRANSIENT,
    FailureClass.RATE_LIMITED,
    FailureClass.CONFIGURATION,
    FailureClass.CA_REFUSES_US,
)
"""After these failures the next run may continue with the order of this one."""
_ASKED = (Trigger.REQUEST, Trigger.MANUAL)


def finish(context: StepContext, outcome: Finished, reconciler: Reconciler) -> StepResult:
    """End the run. If another run was requested, or this run has neither a pair nor a failure, the
    Certificate is reconciled at once. Raises LeaseLost, StateUnavailable."""
    facts = context.facts
    if facts.failure is not None and facts.stored is None:
        issuer_failures.note(context.ports, context.certificate_id, facts.failure, issuer=facts.issuer)
    fields = _idle_fields(context)
    drop = tuple(name for name in (*_FIELDS_OF_A_RUN, "facts", "key") if name not in fields)
    if "facts" in fields:
        drop = tuple(name for name in drop if name != "key")
    commits.commit(context, step="", due=Due.RENEWALS, at=outcome.next_check, fields=fields, drop=drop)
    was_dropped = facts.stored is None and facts.failure is None
    if was_dropped:
        certificates.run_dropped(
            context.certificate_id,
            run=context.record.run,
            reason=context.record.reason,
            seconds=context.run_seconds,
        )
    if context.ports.records.again(context.certificate_id) or was_dropped:
        return _begin_next_run(context, reconciler)
    if facts.stored is not None and facts.stored.recovered and facts.issuer is not None:
        context.ports.issuer_records.forget_failing(facts.issuer, [context.certificate_id])
    return Proceed()


def _idle_fields(context: StepContext) -> dict[str, str]:
    """The fields of the idle record. It stays small: facts are stored only if the next run can continue their
    order."""
    facts, failure, record = context.facts, context.facts.failure, context.record
    if facts.fallback is not None:
        # The next run goes on for the same caller, who waits until a run is done.
        root = {"next_root": record.root_id} if record.trigger in _ASKED else {}
        return {"fallback": facts.fallback.to_json(), "next_trigger": record.trigger.value, **root}
    fields = {"done": str(record.run), "result": _result(facts)}
    if failure is not None and failure.failure_class in _REUSE_AFTER and facts.order and facts.csr:
        fields["facts"] = facts.reusable().to_json()
    if failure is not None and facts.stored is None:
        fields |= {"due": f"{failure.next_attempt:.3f}", "reason": failure.message}
    return fields


def _result(facts: Facts) -> str:
    if facts.stored is not None:
        return RunResult.ISSUED.value
    return facts.failure.message if facts.failure is not None else RunResult.ENDED.value


def _begin_next_run(context: StepContext, reconciler: Reconciler) -> StepResult:
    """Begin the next run, which was requested. If this fails, the tick begins it, because it is due."""
    try:
        return Drop(publish_run=reconciler.reconcile(context.certificate_id).publish_run)
    except CertmillError:
        return Drop()
