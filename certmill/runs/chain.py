"""The order of a run's steps. `contract.STEP_NAMES` is its wire form; `steps.table` has each step's
function."""

from __future__ import annotations

from certmill.contract import STEP_NAMES

FIRST = STEP_NAMES[0]
CLEAN_UP = STEP_NAMES[-1]

SENT = ("finalize", "store_secret", CLEAN_UP)
"""Where the CA has the CSR, or may have it: what is asked for now is not answered by the certificate of this
run."""


def next_step(step: str) -> str:
    """The step after this one."""
    return STEP_NAMES[STEP_NAMES.index(step) + 1]


def remaining(step: str) -> tuple[str, ...]:
    """This step and those after it; none, if a newer release has a step of that name and this one has not."""
    return () if step not in STEP_NAMES else STEP_NAMES[STEP_NAMES.index(step) :]
