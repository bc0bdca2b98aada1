"""The record of a run, read from its fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from certmill import state
from certmill.state.record import Record, RunResult


@pytest.mark.parametrize(
    ("fields", "was_issued"),
    [
        ({"result": "issued"}, True),
        ({"result": "ended"}, False),
        ({"result": "the CA refuses the name"}, False),
        ({"result": "a-result-of-a-newer-release"}, False),
        ({}, False),
    ],
)
def test_only_the_result_issued_means_that_a_pair_was_stored(fields, was_issued):
    record = Record.from_fields(fields)

    assert record.was_issued is was_issued
    assert record.result == fields.get("result", "")


def test_the_script_that_begins_a_run_knows_each_result_that_is_not_a_failure():
    script = (Path(state.__path__[0]) / "begin.lua").read_text()

    assert all(f"result ~= '{result}'" in script for result in RunResult)
