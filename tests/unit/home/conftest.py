"""A directory home, and a person who drops files into it."""

from __future__ import annotations

import pytest

from certmill.home.directory.home import DirectoryHome
from certmill.testing.clock import FakeClock


@pytest.fixture
def root(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def home(root, clock):
    return DirectoryHome(root, cluster_resource_namespace="cert-manager", clock=clock)


@pytest.fixture
def other(root, clock):
    """The same home in another process."""
    return DirectoryHome(root, cluster_resource_namespace="cert-manager", clock=clock)


@pytest.fixture
def drop(root):
    """Put a file into manifests/, as a person does."""

    def drop(name, text):
        (root / "manifests").mkdir(parents=True, exist_ok=True)
        (root / "manifests" / name).write_text(text)

    return drop
