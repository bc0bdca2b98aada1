"""The table of steps."""

from __future__ import annotations

import inspect
from typing import get_type_hints

import pytest

from certmill.contract import STEP_NAMES
from certmill.runs.outcomes import Outcome
from certmill.runs.step_context import StepContext
from certmill.steps.table import STEPS


def test_each_name_in_the_chain_has_a_step_in_the_same_order():
    assert tuple(STEPS) == STEP_NAMES


@pytest.mark.parametrize("name", STEP_NAMES)
def test_each_step_is_a_function_of_its_name_from_a_step_context_to_an_outcome(name):
    act = STEPS[name].act

    assert act.__name__ == name
    assert list(inspect.signature(act).parameters) == ["context"]
    assert get_type_hints(act) == {"context": StepContext, "return": Outcome}


def test_only_the_clean_up_runs_without_manifests():
    assert [name for name, step in STEPS.items() if not step.needs_manifests] == ["clean_up"]
