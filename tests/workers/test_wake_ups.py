"""A step's message is only a doorbell: no copy is kept of it while it is worked on. Of a look or a request
the message is all there is."""

from __future__ import annotations

import json
import threading

import kombu

from tests.support.processes import Processes, Server, item, ran
from tests.support.waiting import until
from workers.broker import transport


def kept(server: Server) -> int:
    """How many messages Redis keeps that somebody works on."""
    with server.client as client:
        return int(client.hlen("unacked"))


def waiting(server: Server, queue: str = "certmill.steps") -> int:
    with server.client as client:
        return int(client.llen(queue))


def test_of_a_step_that_is_worked_on_redis_keeps_nothing_and_of_a_look_everything(
    processes: Processes, server: Server
) -> None:
    processes.worker()
    processes.ring("default/held")
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
        processes.ring("default/stuck")
    processes.ring("default/last")

    until(lambda: waiting(server) == 3, what=processes.log)
    threading.Event().wait(0.5)

    assert waiting(server) == 3


def test_what_was_taken_and_not_done_goes_back_when_the_channel_closes(server):
    transport.install()
    with server.client as client, kombu.Connection(server.url, connect_timeout=5) as connection:
        client.lpush(
            "certmill.steps",
            *(item("certificate.validate", [f"default/{name}"]) for name in ("done", "refused", "taken")),
        )
        channel = connection.channel()
        queue = kombu.Queue(
            "certmill.steps", kombu.Exchange("certmill.steps"), routing_key="certmill.steps", channel=channel
        )
        done, refused, taken = (queue.get() for _ in range(3))
        done.ack()
        refused.reject(requeue=True)
        assert waiting(server) == 1

        channel.close()

        given_back = [json.loads(raw)["headers"]["id"] for raw in client.lrange("certmill.steps", 0, -1)]
    assert sorted(given_back) == sorted([refused.headers["id"], taken.headers["id"]])
