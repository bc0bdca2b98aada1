"""The responder as a process."""

from __future__ import annotations

import signal
import time
import urllib.error
import urllib.request

from compose.servers.ports import free_port
from tests.support.processes import Processes, Server
from tests.support.waiting import until


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def test_the_responder_outlives_redis_and_stops_at_once(processes: Processes, server: Server) -> None:
    port = free_port()
    responder = processes.start(
        "workers", "responder", log="responder.log", CERTMILL_RESPONDER_PORT=str(port)
    )
    url = f"http://127.0.0.1:{port}"
    until(lambda: _status(f"{url}/healthz") == 200, what=lambda: processes.log("responder.log"))
    token = f"{url}/.well-known/acme-challenge/no-such-token"
    assert _status(token) == 404

    server.kill()
    until(lambda: _status(token) == 503)
    server.start()
    until(lambda: _status(token) == 404)

    started = time.monotonic()
    responder.send_signal(signal.SIGTERM)
    assert responder.wait(30) == 0
    assert time.monotonic() - started < 10


def test_a_port_that_is_taken_ends_the_responder(processes: Processes, server: Server) -> None:
    responder = processes.start(
        "workers", "responder", log="responder.log", CERTMILL_RESPONDER_PORT=str(server.port)
    )

    assert responder.wait(60) == 1
    assert "CERTMILL_RESPONDER_PORT" in processes.log("responder.log")
