"""k8s_200_s and k8s_first_s: 200 Certificates created at once in a cluster, DNS-01 by BIND, from the first
`kubectl apply` to READY.

API server, etcd, Pebble, BIND, Redis and the benchmark share the machine with certmill's processes.
cert-manager's controller took 147.7 s for all and 61 to 66 s for the first, on a machine of this kind (its
controller with 100 workers and the API's limits lifted)."""

from __future__ import annotations

import os
import threading
import time

from certmill.kube.client import KubeClient
from certmill.kube.resources import CERTIFICATES
from compose.servers.cluster.kubernetes import KubeApiServer
from tests.bench.cluster import NAMESPACE, api_server, certificate, create, installed, ready_at
from tests.bench.figures import Result
from tests.bench.ground import CORES, Ground
from tests.bench.processes import cpu_seconds, idle_seconds
from tests.support.api_requests import requests_of
from tests.support.kube_lab import KubeLab

COUNT = 200
_WARM_UP = 8 * CORES


def measure(ground: Ground) -> Result:
    """Create COUNT Certificates. Raises RuntimeError when more orders were made than there are
    certificates."""
    with api_server(ground, "burst") as kube, installed(ground, "burst", kube) as lab:
        lab.apply_issuer(lab.rfc2136())
        _issue(lab.client, [f"warm-{number}" for number in range(_WARM_UP)])
        who, orders, asked = _processes(lab, kube), lab.orders(), requests_of(kube)
        before, idle_before = {name: cpu_seconds(pids) for name, pids in who.items()}, idle_seconds()
        began, ready = _issue(lab.client, [f"site-{number:04}" for number in range(COUNT)])
        unused = 1000 * (idle_seconds() - idle_before) / COUNT
        each = {name: 1000 * (cpu_seconds(pids) - before[name]) / COUNT for name, pids in who.items()}
        calls = requests_of(kube) - asked
        made = lab.orders() - orders
    if made != COUNT:
        raise RuntimeError(f"{made} orders for {COUNT} certificates")
    took = sorted(instant - began for instant in ready.values())
    shares = ", ".join(f"{name} {milliseconds:.0f}" for name, milliseconds in each.items())
    often = ", ".join(f"{what} {count / COUNT:.1f}" for what, count in calls.most_common(12))
    notes = [
        (
            f"burst: half were READY after {took[COUNT // 2]:.1f} s; CPU ms for each: {shares}; "
            f"idle {unused:.0f}"
        ),
        f"burst: requests for each: {often}",
    ]
    return Result(figures={"k8s_first_s": took[0], "k8s_200_s": took[-1]}, notes=notes)


def _issue(client: KubeClient, names: list[str]) -> tuple[float, dict[str, float]]:
    """(when the first was created, when each was READY)."""
    ready: dict[str, float] = {}
    watch = threading.Thread(target=lambda: ready.update(ready_at(client, set(names), seconds=300)))
    watch.start()
    began = time.monotonic()
    create(client, CERTIFICATES, [certificate(name, f"{name}.example.test") for name in names])
    watch.join()
    if len(ready) != len(names):
        raise RuntimeError(f"of {len(names)} Certificates in {NAMESPACE} not all got READY")
    return began, ready


def _processes(lab: KubeLab, kube: KubeApiServer) -> dict[str, list[int]]:
    """Who shares the machine during the run: name → pids."""
    own = {name: process.pid for name, process in lab.certmill.processes.items()}
    named: dict[str, list[int | None]] = {
        "workers": [pid for name, pid in own.items() if name.startswith("worker")],
        "controller": [own["controller"]],
        "beat": [own["beat1"]],
        "API server": [kube.pid],
        "etcd": [kube.etcd.pid],
        "Pebble": [lab.pebble.pid],
        "BIND": [lab.bind._process.pid],
        "Redis": [lab.redis.pid],
        "the benchmark": [os.getpid()],
    }
    return {name: [pid for pid in pids if pid] for name, pids in named.items()}
