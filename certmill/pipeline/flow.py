"""The chain of a run, in order. `contract.STEP_NAMES` is its wire form; here each step has its function."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from certmill.contract import STEP_NAMES
from certmill.pipeline.context import Work
from certmill.pipeline.create_order import create_order
from certmill.pipeline.finalize import finalize
from certmill.pipeline.outcome import Outcome
from certmill.pipeline.register_account import register_account
from certmill.pipeline.set_up_challenge import set_up_challenge
from certmill.pipeline.store_secret import store_secret
from certmill.pipeline.validate import validate
from certmill.pipeline.wait_for_propagation import wait_for_propagation

STEPS: Mapping[str, Callable[[Work], Outcome]] = {
    "register_account": register_account,
    "create_order": create_order,
    "set_up_challenge": set_up_challenge,
    "wait_for_propagation": wait_for_propagation,
    "validate": validate,
    "finalize": finalize,
    "store_secret": store_secret,
}
"""Every step but the last, `clean_up`, which runs whatever became of the others (pipeline.engine)."""

FIRST = STEP_NAMES[0]
CLEAN_UP = STEP_NAMES[-1]

SENT = ("finalize", "store_secret", CLEAN_UP)
"""Where the CA has the CSR, or may have it: what is asked for now is not answered by the certificate of this run."""


def next_step(step: str) -> str:
    """The step after this one."""
    return STEP_NAMES[STEP_NAMES.index(step) + 1]


def remaining(step: str) -> tuple[str, ...]:
    """This step and those after it; none, if a newer release has a step of that name and this one has not."""
    return () if step not in STEP_NAMES else STEP_NAMES[STEP_NAMES.index(step) :]
