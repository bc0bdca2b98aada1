"""Real Redis servers and real Celery processes, each test with its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Processes, Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(directory=tmp_path / "redis") as running:
        yield running


@pytest.fixture
def processes(server: Server, tmp_path: Path) -> Iterator[Processes]:
    directory = tmp_path / "work"
    directory.mkdir()
    started = Processes(server, directory)
    yield started
    started.stop()
