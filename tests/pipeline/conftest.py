"""A complete certmill on real servers: Redis, Pebble, BIND, worker, beat and responder as separate
processes."""

from __future__ import annotations

import pytest

from compose.servers.redis import RedisServer
from tests.support.lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """One installation for the tests of a module: ordinary Pebble (5 % of nonces rejected), BIND, one worker,
    one beat, the responder."""
    directory = tmp_path_factory.mktemp("lab")
    with (
        RedisServer(directory=directory / "redis") as redis,
        Lab(directory=directory, redis_url=redis.url) as lab,
    ):
        lab.certmill.start()
        yield lab
