"""A namespace for each test of this folder, on the API server that all tests share."""

from __future__ import annotations

import secrets

import pytest


@pytest.fixture
def namespace(kube):
    """A new namespace. It is not removed: nothing here would empty it."""
    name = f"test-{secrets.token_hex(4)}"
    kube.api.apply(
        f"/api/v1/namespaces/{name}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    )
    return name
