"""The order of a run's steps. `contract.STEP_NAMES` is its wire form; `steps.table` has each step's
function."""

from __future__ import annotations

from certmill.contract import STEP_NAMES

FIRST = STEP_NAMES[0]
CLEAN_UP = STEP_NAMES[-1]

SENT = ("finalize", "store_secret", CLEAN_UP)
"""The steps in which the CA has, or may have, the CSR. The certificate of this run does not include changes
that are requested now."""


def next_step(step: str) -> str:
    """The step after this one."""
    return STEP_NAMES[STEP_NAMES.index(step) + 1]


def remaining(step: str) -> tuple[str, ...]:
    """This step and the steps after it. Empty for a step that only a newer release has."""
    return () if step not in STEP_NAMES else STEP_NAMES[STEP_NAMES.index(step) :]
