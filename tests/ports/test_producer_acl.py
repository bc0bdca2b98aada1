"""A Redis user for producers can enqueue, and nothing else (docs/producers.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from celery import Celery

from certmill.client import Client
from certmill.contract import REQUESTS_QUEUE
from certmill.errors import StateUnavailable
from compose.servers.redis import RedisServer

PAGE = Path(__file__).parents[2] / "docs" / "producers.md"


def acl_lines() -> list[list[str]]:
    """The two ACL SETUSER lines that the page gives, as arguments."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("ACL SETUSER producer ")]
    return [
        line.removeprefix("ACL SETUSER producer ").replace("PASSWORD", "producer-password").split()
        for line in lines
    ]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RedisServer(directory=tmp_path_factory.mktemp("acl"), appendonly=False) as server:
        admin = redis.Redis(port=server.port)
        producer, follower = acl_lines()
        admin.execute_command("ACL", "SETUSER", "producer", *producer)
        admin.execute_command("ACL", "SETUSER", "follower", *producer, *follower)
        yield server
        admin.close()


def url(server, user):
    return f"redis://{user}:producer-password@127.0.0.1:{server.port}/0"


def ask(server, user):
    return Client.connect(url(server, user)).request(name="web", dns_names=["web.example.com"], issuer="prod")


def test_a_producer_can_enqueue_a_request(server):
    ask(server, "producer")

    with redis.Redis(port=server.port) as admin:
        assert admin.llen(REQUESTS_QUEUE) == 1


def test_a_producers_own_celery_app_can_enqueue_a_request(server):
    app = Celery("somebody", broker=url(server, "producer"), set_as_current=False)
    with redis.Redis(port=server.port) as admin:
        before = admin.llen(REQUESTS_QUEUE)

        Client(app.send_task).request(name="web", dns_names=["web.example.com"], issuer="prod")

        assert admin.llen(REQUESTS_QUEUE) == before + 1
    app.close()


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "certmill:certificate:default/web"),
        ("LPUSH", "certmill.steps", "x"),
        ("LPUSH", "certmill.ticks", "x"),
        ("RPOP", REQUESTS_QUEUE),
        ("LRANGE", REQUESTS_QUEUE, "0", "-1"),
        ("DEL", REQUESTS_QUEUE),
        ("EVAL", "return 1", "0"),
        ("PUBLISH", "/0.celeryev/task.sent", "x"),
        ("SADD", "_kombu.binding.certmill.steps", "x"),
        ("CONFIG", "GET", "*"),
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("CLIENT", "LIST"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_producer_can_do_nothing_else(server, command):
    with (
        redis.Redis.from_url(url(server, "producer")) as producer,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        producer.execute_command(*command)


def test_a_producer_that_asks_for_status_is_refused(server):
    with pytest.raises(StateUnavailable, match="ACL"):
        ask(server, "producer").status()


def test_a_follower_can_read_what_became_of_its_request(server):
    assert ask(server, "follower").status().phase == "queued"
