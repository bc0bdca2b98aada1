"""Beat's table: five ticks, their times, and their queue."""

from __future__ import annotations

from certmill.contract import TICK_TASKS
from schedules import beat_schedule


def test_beat_publishes_the_five_ticks_at_their_times_and_nothing_else() -> None:
    found = {name: (entry["task"], entry["schedule"]) for name, entry in beat_schedule().items()}

    assert found == {
        "tick.wake": ("tick.wake", 1.0),
        "tick.renewals": ("tick.renewals", 60.0),
        "tick.ari": ("tick.ari", 30.0),
        "tick.reread": ("tick.reread", 30.0),
        "tick.sweep": ("tick.sweep", 3600.0),
    }


def test_every_tick_of_the_contract_is_in_the_table() -> None:
    assert sorted(entry["task"] for entry in beat_schedule().values()) == sorted(TICK_TASKS)


def test_no_tick_expires_as_the_clocks_of_two_machines_differ() -> None:
    assert [entry["options"] for entry in beat_schedule().values()] == [{"queue": "certmill.ticks"}] * 5
