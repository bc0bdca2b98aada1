"""The servers that tests, demo and benchmark stand on behave as they say."""

from __future__ import annotations

import socket

import pytest
import redis

from compose.servers import MissingServer, ServerFailed, require
from compose.servers.pebble import Pebble
from compose.servers.ports import answers
from compose.servers.process import ServerProcess
from compose.servers.redis import RedisServer


def client_of(server):
    return redis.Redis.from_url(server.url, socket_timeout=1.0, socket_connect_timeout=1.0)


def test_redis_keeps_port_and_data_over_a_kill(tmp_path):
    with RedisServer(directory=tmp_path, arguments=("--appendfsync", "always")) as server:
        url = server.url
        with client_of(server) as client:
            client.set("a", "1")

        server.kill()
        assert not answers(server.port)
        server.start()

        assert server.url == url
        with client_of(server) as client:
            assert client.get("a") == b"1"


def test_a_frozen_redis_is_silent_and_goes_on(tmp_path):
    with RedisServer(directory=tmp_path, appendonly=False) as server, client_of(server) as client:
        client.ping()

        server.freeze()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        server.thaw()

        assert client.ping()


def test_a_restarted_pebble_has_its_url_and_ca_and_new_roots(tmp_path):
    with Pebble(directory=tmp_path, alternate_roots=1) as server:
        before = (server.directory_url, server.ca_bundle, server.http_port)
        roots = server.roots()

        server.restart()

        assert (server.directory_url, server.ca_bundle, server.http_port) == before
        assert len(roots) == len(server.roots()) == 2
        assert server.roots() != roots

    assert not answers(server.port)


def test_a_server_that_ends_at_once_shows_its_log(tmp_path):
    process = ServerProcess("broken", log=tmp_path / "log")

    with pytest.raises(ServerFailed, match="broken ended by itself: no such port"):
        process.start(["sh", "-c", "echo no such port; exit 1"], answers=lambda: False)

    assert not process.is_running


def test_a_server_that_never_answers_is_ended(tmp_path):
    process = ServerProcess("mute", log=tmp_path / "log")

    with pytest.raises(ServerFailed, match=r"did not answer within 0\.1 s"):
        process.start(["sleep", "60"], answers=lambda: False, timeout_seconds=0.1)

    assert not process.is_running


def test_one_that_was_asked_to_stop_is_waited_for_and_not_asked_again(tmp_path):
    log = tmp_path / "log"
    process = ServerProcess("asked", log=log)
    script = "trap 'n=1; echo asked' TERM; echo up; until [ $n ]; do sleep 0.05; done; sleep 0.3; echo ended"
    process.start(["sh", "-c", script], answers=lambda: log.read_text() == "up\n")

    process.ask_to_stop()
    process.stop(timeout_seconds=60)

    assert log.read_text().split() == ["up", "asked", "ended"]
    assert not process.is_running


def test_a_server_that_is_not_installed_says_how_to_get_it():
    with pytest.raises(MissingServer, match="apt-get install no-such-server"):
        require("no-such-server")


def test_servers_listen_on_loopback_only(tmp_path):
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward,
        RedisServer(directory=tmp_path, appendonly=False) as server,
    ):
        try:
            outward.connect(("192.0.2.1", 9))  # sends nothing: it only chooses our address
        except OSError:
            pytest.skip("this machine has no address but loopback")

        assert not answers(server.port, host=outward.getsockname()[0])
