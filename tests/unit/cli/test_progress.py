"""What somebody who looks again and again sees of a run."""

from __future__ import annotations

from certmill.cli.commands.progress import Mark, Progress
from certmill.client import Status
from certmill.contract import STEP_NAMES


def issuing(step, reason="", next_at=None):
    return Status(phase="waiting" if reason else "issuing", step=step, reason=reason, next_at=next_at)


def marks(progress):
    return "".join(view.mark for view in progress.steps())


def view(progress, step):
    return next(v for v in progress.steps() if v.name == step)


def test_a_queued_request_has_no_step_yet():
    progress = Progress(0.0)

    progress.observe(Status(phase="queued"), 1.0)

    assert not progress.seen
    assert progress.headline() == "queued"


def test_a_request_that_no_worker_takes_says_what_to_check():
    progress = Progress(0.0)

    progress.observe(Status(phase="queued"), 6.0)

    assert progress.headline() == "queued: no worker has taken it up yet; check that one is running"


def test_steps_that_ended_before_the_first_poll_are_done_without_a_time():
    progress = Progress(0.0)

    progress.observe(issuing("set_up_challenge"), 1.0)
    progress.observe(issuing("wait_for_propagation"), 1.5)

    assert marks(progress) == "✓✓✓▸····"
    assert view(progress, "create_order").seconds is None
    assert view(progress, "set_up_challenge").seconds == 0.5


def test_a_waiting_step_shows_its_reason_and_when_it_is_tried_again():
    progress = Progress(0.0)

    progress.observe(issuing("wait_for_propagation", "ns2 does not have it yet", next_at=4.0), 1.0)

    waiting = view(progress, "wait_for_propagation")
    assert (waiting.mark, waiting.reason) == (Mark.WAITING, "ns2 does not have it yet (again in 3 s)")
    assert progress.headline() == "wait_for_propagation: ns2 does not have it yet (again in 3 s)"


def test_at_the_end_every_step_is_done():
    progress = Progress(0.0)

    progress.observe(issuing("finalize"), 1.0)
    progress.observe(Status(phase="issued"), 3.0)

    assert marks(progress) == "✓" * len(STEP_NAMES)
    assert view(progress, "finalize").seconds == 2.0


def test_a_run_that_fails_shows_where_and_not_that_it_was_stored():
    progress = Progress(0.0)

    progress.observe(issuing("validate"), 1.0)
    progress.observe(issuing("clean_up", "the CA refuses the name", next_at=900.0), 2.0)
    progress.observe(Status(phase="failed", reason="the CA refuses the name"), 3.0)

    assert marks(progress) == "✓✓✓✓✗··✓"
    assert progress.headline() == "failed: the CA refuses the name"


def test_a_clean_up_that_waits_after_storing_is_no_failure():
    progress = Progress(0.0)

    progress.observe(issuing("store_secret"), 1.0)
    progress.observe(issuing("clean_up", "the DNS provider is down"), 2.0)

    assert marks(progress) == "✓✓✓✓✓✓✓…"


def test_a_run_that_goes_back_counts_again_from_there():
    progress = Progress(0.0)

    progress.observe(issuing("validate"), 1.0)
    progress.observe(issuing("create_order", "the order is gone"), 2.0)

    assert marks(progress) == "✓…······"


def test_a_refused_request_says_why():
    progress = Progress(0.0)

    progress.observe(Status(phase="rejected", reason="spec.issuerRef: there is none"), 1.0)

    assert progress.headline() == "rejected: spec.issuerRef: there is none"
    assert not progress.seen
