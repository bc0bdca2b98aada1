"""What every measurement in a cluster stands on: a real API server with etcd, and certmill in it with the
chart's accounts and rights."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain

from certmill.home.kubernetes.status import certificate_status_of
from certmill.kube.client import KubeClient
from certmill.kube.objects import meta_of
from certmill.kube.resources import CERTIFICATES, Resource
from compose.servers.cluster.kubernetes import KubeApiServer
from compose.servers.process import spawn
from tests.bench.ground import CORES, Ground
from tests.support.cluster import CRDS, make_namespace
from tests.support.kube_lab import KubeLab

NAMESPACE = "bench"
_WRITERS = 4
_WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE")
_DEFAULTS = {"step_lease_seconds": "60", "step_grace_seconds": "10"}


@contextmanager
def api_server(ground: Ground, name: str) -> Iterator[KubeApiServer]:
    """A fresh one, with certmill's CRDs."""
    with KubeApiServer(directory=ground.directory / name / "kube") as kube:
        kube.api.install_crds(CRDS)
        make_namespace(kube, NAMESPACE)
        yield kube


@contextmanager
def installed(ground: Ground, name: str, kube: KubeApiServer, *, serves: bool = False) -> Iterator[KubeLab]:
    """A fresh certmill in the cluster: a worker a core, beat, controller, responder; `serves`: and an nginx
    that follows the Ingresses."""
    with KubeLab(
        directory=ground.directory / name,
        kube=kube,
        workers=CORES,
        serves=serves,
        settings=dict(_DEFAULTS),
        spawn=spawn,
    ) as lab:
        yield lab


def certificate(name: str, *dns_names: str) -> dict[str, object]:
    """A Certificate's manifest, with an ECDSA key."""
    spec = {
        "secretName": f"{name}-tls",
        "dnsNames": list(dns_names),
        "privateKey": {"algorithm": "ECDSA", "size": 256},
        "issuerRef": {"name": "prod-issuer", "kind": "ClusterIssuer"},
    }
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


def create(
    client: KubeClient, resource: Resource, bodies: Sequence[Mapping[str, object]]
) -> list[Mapping[str, object]]:
    """As kubectl does, but several at a time and over connections that stay open; what the server answers."""
    with ThreadPoolExecutor(_WRITERS) as pool:
        return list(pool.map(lambda body: client.create(resource, body), bodies))


def ready_at(client: KubeClient, names: set[str], *, seconds: float) -> dict[str, float]:
    """When each Certificate was first seen Ready with nothing being issued (monotonic clock), by a watch.
    Raises TimeoutError."""
    ends = time.monotonic() + seconds
    found: dict[str, float] = {}
    while names - found.keys():
        if time.monotonic() > ends:
            raise TimeoutError(
                f"{len(names - found.keys())} of {len(names)} Certificates are not Ready after {seconds:g} s"
            )
        listing = client.list(CERTIFICATES, NAMESPACE)
        events = client.watch(CERTIFICATES, NAMESPACE, resource_version=listing.resource_version, seconds=5)
        for body in chain(listing.items, (event.object for event in events)):
            name = meta_of(body).name  # a bookmark has none
            if name in names and _is_ready(body):
                found.setdefault(name, time.monotonic())
            if not names - found.keys():
                break
    return found


def _is_ready(body: Mapping[str, object]) -> bool:
    status = certificate_status_of(body)
    ready = status.condition("Ready")
    return ready is not None and ready.status and status.condition("Issuing") is None


def writes(counted: Counter[str]) -> Counter[str]:
    """Those that change something, but for the Lease that a leader renews."""
    return Counter(
        {
            what: count
            for what, count in counted.items()
            if what.startswith(_WRITES) and not what.endswith(" leases")
        }
    )
