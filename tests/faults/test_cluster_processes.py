"""Redis that loses everything, and leaders that die or freeze, under a burst of Certificates: all are issued,
and nothing twice."""

from __future__ import annotations

import base64
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from certmill.crypto import chain
from certmill.http01.kubernetes_routes import KubernetesRoutes
from certmill.kube.resources import CERTIFICATES, INGRESSES, LEASES, SECRETS
from certmill.model.issuer import Http01Solver
from certmill.model.names import certificate_id
from tests.faults.cluster import DNS_ZONE, an_ingress

IN_FLIGHT = 100
BURST = 12


def apply_all(cluster, namespace, names):
    """Apply all Certificates at once; each uses DNS-01."""
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda name: cluster.apply_certificate(namespace, name, f"{name}.{namespace}.{DNS_ZONE}"),
                names,
            )
        )


def stored_names(cluster, namespace):
    return [
        body["metadata"]["name"] for body in cluster.client.list(SECRETS, namespace, metadata_only=True).items
    ]


def serials(cluster, namespace):
    """The serials of the stored pairs, by the Secret's name."""
    found = {body["metadata"]["name"]: body["data"] for body in cluster.client.list(SECRETS, namespace).items}
    return {name: chain.leaf(base64.b64decode(data["tls.crt"])).serial for name, data in found.items()}


def orders(cluster, namespace, names):
    found = cluster.orders_of(*(f"{name}.{namespace}.{DNS_ZONE}" for name in names))
    return {name.partition(".")[0]: count for name, count in found.items()}


def test_a_redis_that_was_flushed_costs_no_pair_that_was_stored(cluster, namespace):
    names = [f"web-{number}" for number in range(IN_FLIGHT)]
    with cluster.hold(namespace, names[0], "store_secret") as held:
        apply_all(cluster, namespace, names)
        cluster.wait_held(held)
        cluster.until(lambda: len(stored_names(cluster, namespace)) >= IN_FLIGHT // 4, what="some are stored")

        stored = serials(cluster, namespace)
        cluster.runtime.redis.flushall()
    cluster.wait_all_ready(namespace, names, seconds=150)

    assert 0 < len(stored) < IN_FLIGHT, "it was flushed in mid-flight"
    after = serials(cluster, namespace)
    assert {name: after[name] for name in stored} == stored
    assert {
        name
        for name, count in orders(cluster, namespace, names).items()
        if f"{name}-tls" in stored and count != 1
    } == set()
    assert set(cluster.running().values()) == set(cluster.pids.values())


def test_the_route_of_a_challenge_that_redis_has_forgotten_is_closed(cluster, namespace):
    """The same as a flush between the Secret and the clean-up: no run continues."""
    manifest = an_ingress(namespace)
    manifest["metadata"]["namespace"] = namespace
    cluster.client.create(INGRESSES, manifest)
    cluster.wait_all_ready(namespace, ["shop-tls"])
    cluster.assert_no_trace(namespace)
    certificate, host = (
        cluster.runtime.ports.home.certificate(certificate_id(namespace, "shop-tls")),
        f"shop.{namespace}.example.test",
    )
    routes = KubernetesRoutes(cluster.client, lambda: ["192.0.2.80"], 8089)
    for solver in (Http01Solver(ingress_name="shop"), Http01Solver(ingress_class_name="nginx")):
        routes.present(replace(certificate, annotations={}), host, "token", solver)

    cluster.runtime.redis.flushall()

    cluster.assert_no_trace(namespace)
    assert cluster.client.get(INGRESSES, namespace, "shop")["spec"] == manifest["spec"]


@pytest.fixture
def leaders(cluster):
    """Two controllers. After the test the first one runs alone again."""
    cluster.certmill.start_controller("controller2")
    yield {
        f"{process.pid}": name
        for name, process in cluster.certmill.processes.items()
        if name.startswith("controller")
    }
    cluster.certmill.processes.pop("controller2").stop()
    if not cluster.certmill.processes["controller"].is_running:
        cluster.certmill.start_controller()
    cluster.pids = cluster.running()


def leader(cluster, leaders):
    """The name of the process that has the Lease."""
    lease = cluster.client.get(LEASES, "cert-manager", "certmill-controller") or {}
    return leaders.get(lease.get("spec", {}).get("holderIdentity", "").rpartition(" ")[2], "")


def test_a_leader_that_freezes_or_dies_in_a_burst_costs_time_only(cluster, namespace, leaders):
    frozen, killed = (
        [f"frozen-{number}" for number in range(BURST)],
        [f"killed-{number}" for number in range(BURST)],
    )
    first = cluster.until(lambda: leader(cluster, leaders), what="one leads")

    apply_all(cluster, namespace, frozen[: BURST // 2])
    cluster.signal(first, signal.SIGSTOP)
    apply_all(cluster, namespace, frozen[BURST // 2 :])
    second = cluster.until(
        lambda: (found := leader(cluster, leaders)) != first and found, what="the other leads"
    )
    cluster.signal(first, signal.SIGCONT)
    cluster.wait_all_ready(namespace, frozen)

    apply_all(cluster, namespace, killed[: BURST // 2])
    cluster.certmill.processes[second].kill()
    apply_all(cluster, namespace, killed[BURST // 2 :])
    cluster.wait_all_ready(namespace, killed)

    cluster.until(lambda: leader(cluster, leaders) == first, what="the first leads again")
    assert orders(cluster, namespace, frozen + killed) == dict.fromkeys(frozen + killed, 1)


def test_a_certificate_that_is_deleted_while_no_controller_runs_is_forgotten(cluster, namespace):
    apply_all(cluster, namespace, ["web"])
    cluster.wait_all_ready(namespace, ["web"])
    records, web = cluster.runtime.ports.records, certificate_id(namespace, "web")
    assert records.read(web) is not None

    cluster.certmill.processes["controller"].stop()
    cluster.client.delete(CERTIFICATES, namespace, "web")
    cluster.certmill.start_controller()
    cluster.pids = cluster.running()

    cluster.until(lambda: records.read(web) is None, what="it is forgotten")
    assert web not in cluster.runtime.ports.gauges.read()[0]
