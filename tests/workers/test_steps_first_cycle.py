"""Which queue is asked first."""

from __future__ import annotations

import time
from collections import Counter

from certmill.contract import CHANGES_QUEUE, REQUESTS_QUEUE, STEPS_QUEUE, TASKS_OF_QUEUE, TICKS_QUEUE
from tests.support.processes import Processes, Server, item, ran
from tests.support.waiting import until
from workers.broker.steps_first_cycle import StepsFirstCycle


def taken(turns, waiting, count):
    """What is taken when so many messages wait in each queue, as BRPOP takes: from the first queue that has
    one."""
    order = []
    for _ in range(count):
        queue = next((queue for queue in turns.consume(len(TASKS_OF_QUEUE)) if waiting[queue]), None)
        if queue is None:
            break
        waiting[queue] -= 1
        order.append(turns.rotate(queue))
    return order


def test_what_has_begun_goes_first_and_every_ninth_turn_is_anothers():
    order = taken(StepsFirstCycle(TASKS_OF_QUEUE), Counter({STEPS_QUEUE: 100, CHANGES_QUEUE: 100}), 90)

    assert order[:10] == [STEPS_QUEUE] * 8 + [CHANGES_QUEUE, STEPS_QUEUE]
    assert Counter(order) == {STEPS_QUEUE: 80, CHANGES_QUEUE: 10}


def test_the_other_queues_have_their_turns_one_after_the_other():
    order = taken(
        StepsFirstCycle(TASKS_OF_QUEUE), Counter({CHANGES_QUEUE: 3, REQUESTS_QUEUE: 3, TICKS_QUEUE: 3}), 9
    )

    assert sorted(order[:3]) == sorted([CHANGES_QUEUE, REQUESTS_QUEUE, TICKS_QUEUE])
    assert order[:3] == order[3:6] == order[6:]


def test_a_queue_that_is_empty_costs_the_others_no_turn():
    waiting = Counter({STEPS_QUEUE: 30})
    turns = StepsFirstCycle(TASKS_OF_QUEUE)

    assert taken(turns, waiting, 30) == [STEPS_QUEUE] * 30
    waiting.update({REQUESTS_QUEUE: 1, STEPS_QUEUE: 1})
    assert taken(turns, waiting, 2) == [REQUESTS_QUEUE, STEPS_QUEUE]


def test_a_message_of_a_queue_that_is_not_taken_from_any_more_is_nothing_special():
    turns = StepsFirstCycle(TASKS_OF_QUEUE)
    turns.update([])

    for queue in TASKS_OF_QUEUE:
        assert turns.rotate(queue) == queue
    assert turns.consume(0) == []


def test_a_worker_takes_all_that_has_begun_before_what_has_not(processes: Processes, server: Server) -> None:
    with server.client as client:
        for number in range(12):
            client.lpush(STEPS_QUEUE, item("certificate.validate", [f"default/step-{number}"]))
            client.lpush(
                CHANGES_QUEUE, item("reconcile.certificate", [f"default/look-{number}"], queue=CHANGES_QUEUE)
            )

    processes.worker(CERTMILL_WORKER_CONCURRENCY="2")
    until(lambda: sum(line["task"] != "tick.wake" for line in ran(server)) == 24, what=processes.log)

    kinds = [str(line["task"]).partition(".")[0] for line in ran(server) if line["task"] != "tick.wake"]
    assert kinds[:8].count("reconcile") <= 1  # two threads may end in the other order


def test_a_queue_that_is_paused_is_asked_for_nothing_until_its_time():
    turns = StepsFirstCycle(TASKS_OF_QUEUE)
    turns.pause(CHANGES_QUEUE, time.monotonic() + 60)
    turns.pause(REQUESTS_QUEUE, time.monotonic() - 1)

    assert sorted(turns.consume(9)) == sorted({STEPS_QUEUE, REQUESTS_QUEUE, TICKS_QUEUE})


def test_a_returned_reconcile_request_does_not_circle_and_holds_no_thread(
    processes: Processes, server: Server
):
    processes.worker()
    with server.client as client:
        client.lpush(CHANGES_QUEUE, item("reconcile.certificate", ["default/again"], queue=CHANGES_QUEUE))
    until(lambda: len(times(server)) >= 7, what=processes.log)

    taken_at = times(server)[:7]
    assert (
        taken_at[-1] - taken_at[0] >= 2.5
    )  # at most twice a second: one BRPOP is under way when the queue is paused
    for number in range(4):  # all the threads there are
        processes.publish(f"default/{number}")
    until(
        lambda: sum(line["task"] == "certificate.validate" for line in ran(server)) == 4, what=processes.log
    )


def times(server):
    """When the look that goes back was taken."""
    return [line["at"] for line in ran(server) if line["args"] == ["default/again"]]
