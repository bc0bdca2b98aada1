"""A namespace for each test of this folder, on the API server that all tests share."""

from __future__ import annotations

import secrets

import pytest

from tests.support.cluster import make_namespace


@pytest.fixture
def namespace(kube):
    """A new namespace. It is not removed: nothing here would empty it."""
    return make_namespace(kube, f"test-{secrets.token_hex(4)}")
