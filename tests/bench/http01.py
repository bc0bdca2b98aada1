"""k8s_http01_s: from `kubectl apply` to READY by HTTP-01 through a real nginx, by edit in place and by a
solver Ingress, one at a time.

The slower way's median counts. cert-manager took 20 to 21 s behind the NGINX Ingress Controller, of which 18
are its self check."""

from __future__ import annotations

import statistics
import time

from tests.bench.cluster import NAMESPACE, api_server, certificate, installed, ready_at
from tests.bench.figures import Result
from tests.bench.ground import Ground
from tests.support.kube_lab import KubeLab

COUNT = 7
_SOLVER = {"http01": {"ingress": {"ingressClassName": "nginx"}}}
_EDIT_IN_PLACE = {
    "cert-manager.io/cluster-issuer": "prod-issuer",
    "acme.cert-manager.io/http01-edit-in-place": "true",
    "cert-manager.io/private-key-algorithm": "ECDSA",
}


def measure(ground: Ground) -> Result:
    """COUNT of each way, after one to warm up."""
    with api_server(ground, "http01") as kube, installed(ground, "http01", kube, serves=True) as lab:
        lab.apply_issuer(_SOLVER)
        ways = {
            "edit in place": [
                _took(lab, f"edit-{number}", _ingress(f"edit-{number}")) for number in range(COUNT + 1)
            ][1:],
            "solver Ingress": [
                _took(lab, f"solver-{number}", _certificate(f"solver-{number}"))
                for number in range(COUNT + 1)
            ][1:],
        }
    medians = {name: statistics.median(took) for name, took in ways.items()}
    told = "; ".join(
        f"{name} {min(took):.2f} to {max(took):.2f} s, median {medians[name]:.2f}"
        for name, took in ways.items()
    )
    return Result(figures={"k8s_http01_s": max(medians.values())}, notes=[f"HTTP-01: {told}"])


def _took(lab: KubeLab, name: str, manifest: dict[str, object]) -> float:
    began = time.monotonic()
    lab.apply(manifest, NAMESPACE)
    return ready_at(lab.client, {name}, seconds=60)[name] - began


def _certificate(name: str) -> dict[str, object]:
    return certificate(name, f"{name}.example.test")


def _ingress(name: str) -> dict[str, object]:
    host, service = f"{name}.example.test", {"name": "tea-svc", "port": {"number": 80}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "annotations": _EDIT_IN_PLACE},
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": [host], "secretName": name}],
            "rules": [
                {
                    "host": host,
                    "http": {
                        "paths": [{"path": "/tea", "pathType": "Prefix", "backend": {"service": service}}]
                    },
                }
            ],
        },
    }
