"""A worker outlives its broker: cut while a message is in flight, killed, frozen."""

from __future__ import annotations

import signal
import threading
from functools import partial

import pytest

from tests.support.processes import Processes, Server, item, ran
from tests.support.waiting import until


def _step(server: Server, certificate: str) -> None:
    with server.client as client:
        client.lpush("certmill.steps", item("certificate.validate", [certificate]))


def _taken(server: Server) -> bool:
    with server.client as client:
        return not client.exists("certmill.steps")


def _done(server: Server, certificate: str) -> bool:
    return [certificate] in [line["args"] for line in ran(server)]


@pytest.mark.parametrize(
    ("flags", "environment"),
    [((), {}), (("-P", "prefork", "-c", "2"), {}), ((), {"PROBE_REMOTE_CONTROL": "1"})],
    ids=["no flags", "somebody's flags", "remote control on, which kombu 5.7 alone does not survive"],
)
def test_a_worker_survives_losing_redis_with_a_message_in_flight(
    processes: Processes, server: Server, flags: tuple[str, ...], environment: dict[str, str]
) -> None:
    worker = processes.worker(*flags, **environment)

    for outage in ("one", "two"):
        _step(server, "default/slow")
        until(partial(_taken, server))
        server.kill()
        threading.Event().wait(2.0)
        server.start()
        _step(server, f"default/{outage}")
        until(partial(_done, server, f"default/{outage}"), what=processes.log)

    assert worker.poll() is None
    assert "Unrecoverable" not in processes.log()
    assert "DeprecationWarning" not in processes.log()


def test_a_worker_works_on_after_redis_was_frozen_for_twenty_seconds(
    processes: Processes, server: Server
) -> None:
    worker = processes.worker()
    _step(server, "default/slow")

    server.freeze()
    threading.Event().wait(20.0)
    server.thaw()
    _step(server, "default/after")

    until(lambda: _done(server, "default/after"), what=processes.log)
    assert worker.poll() is None


def test_a_worker_stops_while_redis_is_away(processes: Processes, server: Server) -> None:
    worker = processes.worker()

    server.kill()
    threading.Event().wait(1.5)
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(timeout=60) is not None
    server.start()
