"""Polling inside a step, and the outcomes while the CA has not decided."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from certmill.errors import NameRefused, RateLimited
from certmill.runs.facts import Facts
from certmill.runs.outcomes import Failed, Restart
from certmill.runs.ports import Limits
from certmill.runs.step_context import StepContext
from certmill.state.record import Record
from certmill.steps import polling
from certmill.testing.clock import FakeClock
from tests.support.builders import NOW

FACTS = Facts(order="https://ca.test/order/1", csr="csr")


@pytest.fixture
def context():
    ports = SimpleNamespace(clock=FakeClock(NOW), limits=Limits(validation_timeout=300.0))
    return StepContext(
        ports=ports,
        uncached=ports,
        certificate_id="default/web",
        step="validate",
        record=Record(),
        lease_renewed_at=ports.clock.monotonic(),
        store_temporary_pair=lambda certificate: False,
    )


def polled(context, answers, **options):
    """The last answer, and how many requests were made after the first answer."""
    rest = iter(answers[1:])
    asked = []

    def ask_again(answer):
        asked.append(answer)
        return next(rest)

    last = polling.poll(
        context, answers[0], ask_again=ask_again, is_open=lambda answer: answer == "open", **options
    )
    return last, len(asked)


def test_a_poll_ends_with_the_first_answer_that_is_not_open(context):
    assert polled(context, ["done"]) == ("done", 0)
    assert polled(context, ["open", "open", "done", "never asked"]) == ("done", 2)


def test_a_poll_ends_after_its_last_pause_in_less_than_a_second(context):
    before = context.ports.clock.now()

    assert polled(context, ["open"] * 100) == ("open", len(polling.PAUSES))
    assert context.ports.clock.now() - before == pytest.approx(sum(polling.PAUSES))
    assert sum(polling.PAUSES) < 1.0


def test_the_lease_is_renewed_between_the_polls_of_a_slow_server(context):
    renewed = []
    context.ports.records = SimpleNamespace(keep=lambda *_, **options: renewed.append(options) or True)

    polled(context, ["open"] * 4, pauses=(21.0, 1.0, 21.0))

    assert len(renewed) == 2


@pytest.mark.parametrize(
    ("retry_after", "elapsed", "seconds"),
    [(5.0, 0.0, 5.0), (3600.0, 0.0, 60.0), (None, 0.0, 1.0), (None, 100.0, 30.0)],
)
def test_the_next_try_is_when_the_ca_says_and_within_a_minute(context, retry_after, elapsed, seconds):
    waiting = polling.wait(context, FACTS, since=NOW - elapsed, reason="waits", retry_after=retry_after)

    assert (waiting.seconds, waiting.reason, waiting.facts) == (seconds, "waits", FACTS)


def test_a_ca_that_does_not_decide_ends_the_run_and_the_order_stays(context):
    assert polling.timed_out(context, FACTS, since=None, what="issued web") is None
    assert polling.timed_out(context, FACTS, since=NOW - 299.0, what="issued web") is None

    failed = polling.timed_out(context, FACTS, since=NOW - 300.0, what="issued web")

    assert str(failed.error) == "the CA has not issued web within 5 min"
    assert failed.facts == FACTS


def test_a_refusal_fails_the_run_but_a_rate_limit_only_gives_up_the_order():
    wrong, limited = NameRefused("no CAA record"), RateLimited("too many", retry_after=60.0)

    assert polling.refused(wrong, FACTS) == Failed(error=wrong, facts=FACTS)
    assert polling.refused(limited, FACTS) == Restart(
        step="create_order", reason="too many", facts=FACTS.without_order(), after=limited
    )
