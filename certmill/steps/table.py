"""Each step's function, by its name in the chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from certmill.runs.context import Work
from certmill.runs.outcomes import Outcome
from certmill.steps.create_order import create_order
from certmill.steps.finalize import finalize
from certmill.steps.register_account import register_account
from certmill.steps.set_up_challenge import set_up_challenge
from certmill.steps.store_secret import store_secret
from certmill.steps.validate import validate
from certmill.steps.wait_for_propagation import wait_for_propagation

STEPS: Mapping[str, Callable[[Work], Outcome]] = {
    "register_account": register_account,
    "create_order": create_order,
    "set_up_challenge": set_up_challenge,
    "wait_for_propagation": wait_for_propagation,
    "validate": validate,
    "finalize": finalize,
    "store_secret": store_secret,
}
"""Every step but the last, `clean_up`, which runs whatever became of the others (runs.engine)."""
