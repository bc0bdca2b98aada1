"""What is kept of the runs that have ended."""

from __future__ import annotations

from certmill.model.history import MOST, PastRun, with_run


def test_the_last_ten_runs_are_kept():
    history = ()
    for number in range(MOST + 5):
        history = with_run(history, PastRun(at=float(number), issued=True, message=f"serial {number}"))

    assert [run.at for run in history] == [float(number) for number in range(5, MOST + 5)]


def test_failures_that_repeat_each_other_are_counted_and_push_nothing_out():
    history = with_run((), PastRun(at=1.0, issued=True, message="serial 1"))
    for number in range(50):
        history = with_run(history, PastRun(at=2.0 + number, message="the CA is away"))
    history = with_run(history, PastRun(at=60.0, message="no such name"))

    assert history == (
        PastRun(at=1.0, issued=True, message="serial 1"),
        PastRun(at=51.0, message="the CA is away", times=50),
        PastRun(at=60.0, message="no such name"),
    )


def test_a_message_is_cut():
    assert len(with_run((), PastRun(message="x" * 100_000))[0].message) == 300


def test_a_long_message_is_cut_visibly_and_still_counts_as_the_same():
    history = with_run((), PastRun(at=1.0, message="x" * 300))
    history = with_run(history, PastRun(at=2.0, message="y" * 301))
    history = with_run(history, PastRun(at=3.0, message="y" * 400))

    assert [run.message for run in history] == ["x" * 300, "y" * 299 + "…"]
    assert history[-1].times == 2
