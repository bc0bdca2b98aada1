"""Beat's table: four ticks, their times, their queue, and an end for each."""

from __future__ import annotations

from certmill.contract import TICK_TASKS
from schedules import beat_schedule


def test_beat_rings_the_four_ticks_at_their_times_and_nothing_else() -> None:
    found = {name: (entry["task"], entry["schedule"]) for name, entry in beat_schedule().items()}

    assert found == {
        "tick.wake": ("tick.wake", 1.0),
        "tick.renewals": ("tick.renewals", 60.0),
        "tick.reread": ("tick.reread", 30.0),
        "tick.sweep": ("tick.sweep", 3600.0),
    }


def test_every_tick_of_the_contract_is_in_the_table() -> None:
    assert sorted(entry["task"] for entry in beat_schedule().values()) == sorted(TICK_TASKS)


def test_every_tick_lies_in_the_ticks_queue_and_expires_before_a_pile_of_them_is_there() -> None:
    options = {name: entry["options"] for name, entry in beat_schedule().items()}

    assert options == {
        "tick.wake": {"queue": "certmill.ticks", "expires": 30.0},
        "tick.renewals": {"queue": "certmill.ticks", "expires": 54.0},
        "tick.reread": {"queue": "certmill.ticks", "expires": 30.0},
        "tick.sweep": {"queue": "certmill.ticks", "expires": 3240.0},
    }
