"""The two ways to end a step in its record, each in one Lua call that uses the fence of the claim."""

from __future__ import annotations

from collections.abc import Mapping

from certmill.runs.step_context import LeaseLost, StepContext
from certmill.state.record import Record
from certmill.state.records import Due

WAIT_FIELDS = ("reason", "due", "wait_class", "unread_since")
"""The fields of a record that describe what a step waits for."""
UNREAD_FIELDS = ("unread_since",)
"""A worker that could read the facts deletes this field. A worker that cannot read them comes later, and
waits for an hour from then."""


def commit(
    context: StepContext,
    *,
    step: str,
    due: Due,
    at: float,
    fields: Mapping[str, str],
    drop: tuple[str, ...] = (),
) -> None:
    """End the step: write `fields`, delete the fields in `drop`, and set the due time `at` (seconds since the
    epoch) of the step that comes next. Raises LeaseLost."""
    fields = dict(fields)
    if step != context.step:
        fields["since"] = f"{context.ports.clock.now():.3f}"
    if not context.ports.records.commit(
        context.certificate_id,
        fence=context.record.fence,
        step=step,
        due=due,
        at=at,
        fields=fields,
        drop=drop,
    ):
        raise LeaseLost


def advance(
    context: StepContext, *, step: str, task_id: str, fields: Mapping[str, str], drop: tuple[str, ...]
) -> Record:
    """End the step and claim the next one (`step`) for the task with this id. Returns the record of the new
    claim. Raises LeaseLost."""
    now = context.ports.clock.now()
    claimed = context.ports.records.advance(
        context.certificate_id,
        context.record,
        step=step,
        now=now,
        lease_seconds=context.ports.limits.lease,
        task_id=task_id,
        fields={**fields, "since": f"{now:.3f}"},
        drop=drop,
    )
    if claimed is None:
        raise LeaseLost
    return claimed
