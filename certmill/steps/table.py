"""Each step's function, by its name in the chain, and what the step requires before it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from certmill.runs.outcomes import Outcome
from certmill.runs.step_context import StepContext
from certmill.steps.clean_up import clean_up
from certmill.steps.create_order import create_order
from certmill.steps.finalize import finalize
from certmill.steps.register_account import register_account
from certmill.steps.set_up_challenge import set_up_challenge
from certmill.steps.store_secret import store_secret
from certmill.steps.validate import validate
from certmill.steps.wait_for_propagation import wait_for_propagation


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a run. `act` raises CertmillError and LeaseLost."""

    act: Callable[[StepContext], Outcome]
    needs_manifests: bool = True
    """The step runs only while the Certificate exists and is unchanged, and its issuer exists
    (runs.preconditions). Otherwise it always runs."""
    needs_ownership: bool = False
    """The step runs only if no other Certificate owns the Secret. An older Certificate with the same
    secretName may have been created since the run began."""
    stores: bool = False
    """The step writes the Secret."""


STEPS: Final[Mapping[str, Step]] = {
    "register_account": Step(act=register_account),
    "create_order": Step(act=create_order, needs_ownership=True),
    "set_up_challenge": Step(act=set_up_challenge),
    "wait_for_propagation": Step(act=wait_for_propagation),
    "validate": Step(act=validate),
    "finalize": Step(act=finalize),
    "store_secret": Step(act=store_secret, needs_ownership=True, stores=True),
    "clean_up": Step(act=clean_up, needs_manifests=False),
}
