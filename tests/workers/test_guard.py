"""The guard in a real worker, with the messages that stop one without it."""

from __future__ import annotations

import base64
import json
import signal
import time
from typing import TYPE_CHECKING

from certmill.contract import TASKS_OF_QUEUE
from tests.support.poison import MORE, REQUESTS, TWELVE
from tests.support.processes import Processes, Server, item, ran, rejected
from tests.support.waiting import until

if TYPE_CHECKING:
    from compose.servers.process import Child


def _push(server: Server, queue: str, *items: bytes) -> None:
    with server.client as client:
        client.lpush(queue, *items)


def _works(server: Server) -> None:
    done = len(ran(server))
    _push(server, "certmill.steps", item("certificate.validate", ["default/good"]))
    until(lambda: len(ran(server)) > done, what="the worker does not work any more")


def _is_empty(server: Server) -> bool:
    with server.client as client:
        return not any(client.exists(key) for key in (*TASKS_OF_QUEUE, "unacked", "unacked_index"))


def _stop(worker: Child) -> int:
    worker.send_signal(signal.SIGTERM)
    return worker.wait(timeout=60)


def test_poison_leaves_the_worker_alive_and_none_of_it_comes_back(
    processes: Processes, server: Server
) -> None:
    worker = processes.worker()
    poison = {**TWELVE, **MORE}

    for queue, raw in poison.values():
        _push(server, queue, raw)
    until(lambda: processes.log().count("message.refused") == len(poison), what=processes.log)
    _works(server)

    assert worker.poll() is None
    until(lambda: _is_empty(server), what="a refused message is still in the broker")
    assert {line["args"][0] for line in ran(server)} == {"default/good"}  # type: ignore[index]
    assert "SECRET" not in processes.log()

    assert _stop(worker) == 0
    processes.worker(log="again.log")
    _works(server)
    assert "message.refused" not in processes.log("again.log")


def test_a_refused_request_is_kept_with_its_reason(processes: Processes, server: Server) -> None:
    processes.worker()
    refused = [raw for queue, raw in MORE.values() if queue == REQUESTS]

    _push(server, REQUESTS, *refused)
    _push(
        server,
        REQUESTS,
        item("certificate.request", [{"name": "web"}], headers={"id": "mine", "eta": "soon"}),
    )

    until(lambda: len(rejected(server)) == len(refused) + 1, what=processes.log)
    assert ["mine", "default/web", "a message with an ETA is not accepted"] in rejected(server)
    assert all(reason for _, _, reason in rejected(server))


def test_without_flags_a_worker_has_threads_takes_the_three_queues_and_sends_events(
    processes: Processes, server: Server
) -> None:
    processes.worker()

    _push(server, "certmill.steps", item("certificate.validate", ["default/web"]))
    _push(server, "certmill.requests", item("certificate.request", [{"name": "web", "spec": {}}]))
    _push(server, "certmill.ticks", item("tick.wake", []))

    until(
        lambda: (
            {line["task"] for line in ran(server)}
            == {"certificate.validate", "certificate.request", "tick.wake"}
        )
    )
    assert all(str(line["thread"]).startswith("ThreadPoolExecutor") for line in ran(server))
    assert "concurrency: 4 (continuation)" in processes.log()  # the module of the pool
    assert "task events: ON" in processes.log()


def test_nothing_of_a_strangers_message_but_its_clean_id_is_in_an_event(
    processes: Processes, server: Server
) -> None:
    processes.worker()
    with server.client as client, client.pubsub() as listener:
        listener.psubscribe("*celeryev*")
        listener.get_message(timeout=5)

        hostile = {
            "argsrepr": "SECRET",
            "kwargsrepr": "SECRET",
            "shadow": "SECRET",
            "root_id": "SECRET",
            "parent_id": "SECRET",
            "origin": "SECRET",
        }
        _push(
            server,
            REQUESTS,
            item("certificate.request", [{"name": "web", "spec": {"x": "SECRET"}}], headers=hostile),
        )
        heard = bytearray()

        def hear_the_end() -> bool:
            while message := listener.get_message(timeout=0.2):
                if isinstance(message["data"], bytes):
                    heard.extend(base64.b64decode(json.loads(message["data"])["body"]))
            return b"task-succeeded" in heard

        until(hear_the_end, what=processes.log)

    assert b"task-received" in heard
    assert b"SECRET" not in heard


def test_beats_without_flags_tick_every_second_leave_no_pile_and_no_file(
    processes: Processes, server: Server
) -> None:
    beats = [
        processes.start("celery", "-A", "probe_app", "beat", log=f"beat{number}.log") for number in (1, 2)
    ]

    with server.client as client:
        for _ in range(4):
            until(lambda: client.rpop("certmill.ticks") is not None, what=lambda: processes.log("beat1.log"))
        until(lambda: client.llen("certmill.ticks") > 0, what=lambda: processes.log("beat1.log"))
        time.sleep(2.5)  # five ticks of two beats
        waiting = [json.loads(tick)["headers"]["task"] for tick in client.lrange("certmill.ticks", 0, -1)]
        assert 1 <= waiting.count("tick.wake") <= 2  # both may have looked before either sent

    assert sorted(file.name for file in processes.directory.iterdir()) == ["beat1.log", "beat2.log"]
    assert [_stop(beat) for beat in beats] == [0, 0]
