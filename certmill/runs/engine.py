"""Runs one step: claim (one Lua call), act (the step's function), commit (one Lua call). The decision is in
the record before status, events and logs show it.

If the process dies at any line, the lease ends, the tick publishes the step again, and the step can be
repeated safely. If a message is a duplicate or late, the claim fails and its chain ends. If the lease was
lost during the step, the commit fails and changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from certmill.certificates.reconcile import Reconciler
from certmill.errors import (
    AccountRefused,
    CertmillError,
    DamagedValue,
    NewerRelease,
    StateUnavailable,
    StepKeepsDying,
)
from certmill.issuers import account
from certmill.model.names import CertificateId
from certmill.observe import recording
from certmill.runs import error_outcomes, preconditions
from certmill.runs.chain import FIRST
from certmill.runs.facts import Facts
from certmill.runs.outcomes import Drop, Failed, LeftToNewer, Outcome, Restart, StepResult, Wait
from certmill.runs.ports import Ports
from certmill.runs.step_context import LeaseLost, StepContext
from certmill.runs.transitions.end import end
from certmill.state.record import Record
from certmill.state.records import Unclaimed
from certmill.steps.table import STEPS, Step

UNREAD_POLL_SECONDS = 30.0
UNREAD_SECONDS = 3600.0
"""How long facts of a newer release wait for a worker of that release. After an hour the run is given up. The
price is one more order."""


class Engine:
    """Runs steps. One per process."""

    def __init__(self, ports: Ports, reconciler: Reconciler) -> None:
        self._ports = ports
        self._uncached = replace(ports, home=reconciler.home)
        self._reconciler = reconciler

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
        """Claim, act, commit. Returns what the task is to show. Raises no CertmillError.

        `claimed`: the step's record, if the commit of the previous step has claimed it for this task.
        `next_task` returns the id of the task with which this worker starts the next step at once. "" means
        that the next step is published instead."""
        began = time.perf_counter()

        def claim() -> Record | Unclaimed:
            return claimed if claimed is not None else self._claim(step, certificate, task_id, root_id)

        outcome, result = self._run(step, certificate, claim, next_task)
        recording.sink().step(step, outcome, time.perf_counter() - began)
        return result

    def _run(
        self,
        step: str,
        certificate: CertificateId,
        claim: Callable[[], Record | Unclaimed],
        next_task: Callable[[], str],
    ) -> tuple[str, StepResult]:
        """The outcome in one word, for the metrics, and the result."""
        try:
            record = claim()
            if isinstance(record, Unclaimed):
                return "duplicate", Drop()
            context = self._context(step, certificate, record)
            outcome = self._outcome(context)
            result = end(context, outcome, reconciler=self._reconciler, next_task=next_task)
            return outcome.word, result
        except LeaseLost:
            return "lease-lost", Drop()
        except StateUnavailable as error:
            return "redis-away", Wait(reason=str(error), seconds=self._ports.limits.lease)

    def _claim(self, step: str, certificate: CertificateId, task_id: str, root_id: str) -> Record | Unclaimed:
        ports = self._ports
        return ports.records.claim(
            certificate,
            step,
            now=ports.clock.now(),
            lease_seconds=ports.limits.lease,
            task_id=task_id,
            root_id=root_id,
        )

    def _context(self, step: str, certificate: CertificateId, record: Record) -> StepContext:
        return StepContext(
            ports=self._ports,
            uncached=self._uncached,
            certificate_id=certificate,
            step=step,
            record=record,
            lease_renewed_at=self._ports.clock.monotonic(),
            store_temporary_pair=self._reconciler.store_temporary,
        )

    def _outcome(self, context: StepContext) -> Outcome:
        """Read the facts and act. Facts of a newer release are left to its workers for a time; then the run
        is given up."""
        record, now = context.record, self._ports.clock.now()
        try:
            context.facts = Facts.from_json(record.facts).as_of(now)
        except NewerRelease as error:
            if now - (record.unread_since or now) < UNREAD_SECONDS:
                return LeftToNewer(reason=str(error), seconds=UNREAD_POLL_SECONDS)
            return self._give_up(context, error)
        except DamagedValue as error:
            return self._give_up(context, error)
        return self._act(context)

    def _give_up(self, context: StepContext, error: CertmillError) -> Outcome:
        """End a run whose facts cannot be read. The next run begins with none, after a back-off. The journal
        knows what was presented, and the sweep cleans it up."""
        context.facts_are_readable = False
        if STEPS[context.step].needs_manifests:
            return Failed(error=error, facts=Facts())
        return self._act(context)

    def _act(self, context: StepContext) -> Outcome:
        """The step's outcome. Raises LeaseLost, StateUnavailable; each other error becomes an outcome."""
        step = STEPS[context.step]
        try:
            return self._act_on_manifests(context, step) if step.needs_manifests else step.act(context)
        except StateUnavailable:
            raise
        except CertmillError as error:
            return error_outcomes.outcome_of(error, context)

    def _act_on_manifests(self, context: StepContext, step: Step) -> Outcome:
        if context.record.attempts > self._ports.limits.max_attempts:
            raise StepKeepsDying(
                f"{context.step} was begun {context.record.attempts} times without an end; see the workers' "
                "logs, then renew"
            )
        if (outcome := preconditions.unmet(context, step, self._reconciler)) is not None:
            return outcome
        try:
            with self._ports.namespace_limit.of(context.issuer.namespace):
                return step.act(context)
        except AccountRefused as error:
            return self._register_again(context, error)

    def _register_again(self, context: StepContext, error: AccountRefused) -> Outcome:
        """Go back to the first step if the account must be registered again. Raises `error` if the CA refuses
        the account."""
        if error.acme_type != account.LOST or context.step == FIRST:
            account.refused(self._ports, context.issuer, error)
            raise error
        account.forget(self._ports, context.issuer)
        return Restart(step=FIRST, reason=str(error), facts=context.facts.without_order())
