"""Real Redis servers and real Celery processes, each test with its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.running import Processes, Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if shutil.which("redis-server") is None:
        assert os.environ.get("CI") != "true", "redis-server is not installed"
        pytest.skip("redis-server is not installed")
    directory = tmp_path / "redis"
    directory.mkdir()
    running = Server(directory)
    running.start()
    yield running
    running.kill()


@pytest.fixture
def processes(server: Server, tmp_path: Path) -> Iterator[Processes]:
    directory = tmp_path / "work"
    directory.mkdir()
    started = Processes(server, directory)
    yield started
    started.stop()
