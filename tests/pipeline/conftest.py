"""A complete certmill on real servers: Redis, Pebble, BIND, worker, beat and responder as separate
processes."""

from __future__ import annotations

import pytest

from certmill.cli import main
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


@pytest.fixture
def certmill(lab, monkeypatch, capfd):
    """Run the command with the settings of the lab: (exit code, output, errors)."""
    for name, value in lab.certmill.environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments):
        capfd.readouterr()
        return (main(arguments), *capfd.readouterr())

    return run
