"""One installation for all faults but the killed workers: two workers, two beats, a Redis of its own, a CA and name servers that can
fail."""

from __future__ import annotations

import pytest

from compose.servers.redis import RedisServer
from tests.faults.lab import FaultyLab
from tests.faults.nameserver import MoodyNameserver


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Shared by the modules: leave it whole, and use names of your own."""
    directory = tmp_path_factory.mktemp("faulty")
    with (
        MoodyNameserver() as nameserver,
        RedisServer(directory=directory / "redis") as redis,
        FaultyLab(directory=directory, redis_url=redis.url, redis=redis, nameserver=nameserver) as lab,
    ):
        lab.certmill.start(workers=2, beats=2)
        yield lab
