"""A step's message is only a wake-up: Redis stores no copy of it while the step runs. The message of a
reconcile request or of a request is the only copy."""

from __future__ import annotations

import signal
import threading

from tests.support.processes import Processes, Server, item, ran
from tests.support.waiting import until


def kept(server: Server) -> int:
    """How many messages Redis keeps that somebody works on."""
    with server.client as client:
        return int(client.hlen("unacked"))


def waiting(server: Server, queue: str = "certmill.steps") -> int:
    with server.client as client:
        return int(client.llen(queue))


def test_of_a_step_in_work_redis_keeps_nothing_and_of_a_reconcile_request_everything(
    processes: Processes, server: Server
) -> None:
    processes.worker()
    processes.publish("default/held")
    until(lambda: waiting(server) == 0, what=processes.log)
    assert kept(server) == 0
    assert ran(server) == []  # it is still worked on

    with server.client as client:
        client.lpush(
            "certmill.changes", item("reconcile.certificate", ["default/held"], queue="certmill.changes")
        )

    until(lambda: kept(server) == 1, what=processes.log)
    with server.client as client:
        client.lpush("let go", "step", "look")
    until(lambda: len(ran(server)) == 2, what=processes.log)
    until(lambda: kept(server) == 0, what=processes.log)


def test_no_more_steps_are_taken_than_there_are_threads(processes: Processes, server: Server) -> None:
    processes.worker()  # four threads
    for _ in range(6):
        processes.publish("default/stuck")
    processes.publish("default/last")

    until(lambda: waiting(server) == 3, what=processes.log)
    threading.Event().wait(0.5)

    assert waiting(server) == 3


def test_a_worker_that_stops_loses_no_message_of_a_step(processes: Processes, server: Server) -> None:
    worker = processes.worker()  # four threads
    for _ in range(11):
        processes.publish("default/slow")
    until(lambda: waiting(server) <= 7, what=processes.log)

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(30) == 0
    assert len(ran(server)) + waiting(server) == 11


def test_a_tick_costs_one_message_and_no_transaction(processes: Processes, server: Server) -> None:
    processes.worker()
    with server.client as client:
        client.config_resetstat()
        client.lpush("certmill.ticks", item("tick.wake", [], queue="certmill.ticks"))
        until(lambda: ran(server) != [], what=processes.log)
        until(lambda: client.info("commandstats")["cmdstat_brpop"]["calls"] > 0, what=processes.log)

        assert {"cmdstat_multi", "cmdstat_zadd", "cmdstat_zrem"}.isdisjoint(client.info("commandstats"))


def test_a_request_that_another_app_sent_with_a_priority_is_taken(
    processes: Processes, server: Server
) -> None:
    processes.worker()
    with server.client as client:  # kombu's name of the list for the priorities 3 to 5
        client.lpush(
            "certmill.requests\x06\x163",
            item("certificate.request", [{"name": "web"}], queue="certmill.requests"),
        )

    until(lambda: len(ran(server)) == 1, what=processes.log)
