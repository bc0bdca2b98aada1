"""One installation for all faults but the killed workers: two workers, two beats, a Redis of its own, a CA
and name servers that can fail; and one in a cluster, whose API server can."""

from __future__ import annotations

import secrets

import pytest

from compose.servers.cluster.kubernetes import KubeApiServer
from compose.servers.redis import RedisServer
from tests.faults.api_proxy import ApiProxy
from tests.faults.cluster import FaultyKubeLab
from tests.faults.lab import FaultyLab
from tests.faults.nameserver import MoodyNameserver
from tests.support.cluster import CRDS


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Shared by the tests of a module: leave it whole, and use names of your own. After it nothing of it
    slows other tests down."""
    directory = tmp_path_factory.mktemp("faulty")
    with (
        MoodyNameserver() as nameserver,
        RedisServer(directory=directory / "redis") as redis,
        FaultyLab(directory=directory, redis_url=redis.url, redis=redis, nameserver=nameserver) as lab,
    ):
        lab.certmill.start(workers=2, beats=2)
        yield lab


@pytest.fixture(scope="module")
def cluster(kube_programs, tmp_path_factory):
    """An installation in a cluster of its own. Shared by the tests of a module: leave it whole, and use
    namespaces of your own."""
    directory = tmp_path_factory.mktemp("cluster")
    with KubeApiServer(directory=directory / "kube") as kube:
        kube.api.install_crds(CRDS)
        with (
            ApiProxy(directory / "proxy", f"127.0.0.1:{kube.port}", kube.ca_file.read_bytes()) as proxy,
            FaultyKubeLab(directory=directory, kube=kube, proxy=proxy) as lab,
        ):
            yield lab


@pytest.fixture
def namespace(cluster):
    """A new namespace of the cluster."""
    return cluster.make_namespace(f"faults-{secrets.token_hex(4)}")
