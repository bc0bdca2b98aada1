"""One API server with certmill's CRDs for all tests of this folder, and a namespace for each."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from compose.servers.kubernetes import KubeApiServer

CRDS = sorted((Path(__file__).resolve().parents[2] / "compose" / "chart" / "crds").glob("*.yaml"))


@pytest.fixture(scope="session")
def kube(kube_programs, tmp_path_factory):
    """An API server with certmill's CRDs. Shared: work in a namespace of your own, and do not stop or freeze it."""
    with KubeApiServer(directory=tmp_path_factory.mktemp("kube")) as server:
        server.api.install_crds(CRDS)
        yield server


@pytest.fixture
def namespace(kube):
    """A new namespace. It is not removed: nothing here would empty it."""
    name = f"test-{secrets.token_hex(4)}"
    kube.api.apply(f"/api/v1/namespaces/{name}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name
