"""The lab of the cluster's tests, with an API server of its own that can be killed, a proxy in front of it,
and a worker that can be held."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from certmill.kube.resources import CERTIFICATES, ISSUERS
from certmill.model.names import CertificateId
from certmill.state import keys
from compose.servers.cluster.kubernetes import KubeApiServer
from tests.faults.api_proxy import ApiProxy
from tests.faults.held import hold_file
from tests.faults.ledger import orders_by_name
from tests.support.cluster import make_namespace
from tests.support.kube_lab import KubeLab

HTTP01 = {"http01": {"ingress": {"class": "nginx"}}}
DNS_ZONE = "dns.example.test"
"""Names below this domain are validated by DNS-01, all others by HTTP-01."""


@dataclass(kw_only=True)
class FaultyKubeLab(KubeLab):
    """certmill's processes connect to the API server through `proxy`; the tests connect directly."""

    kube: KubeApiServer
    proxy: ApiProxy
    workers: int = 0
    pids: dict[str, int | None] = field(default_factory=dict, init=False)

    def __enter__(self):
        self.settings = {
            "step_lease_seconds": "20",
            "worker_concurrency": "48",
            "lease_seconds": "8",
        } | self.settings
        super().__enter__()
        self.certmill._start(
            "worker1", "-m", "tests.faults.held", "worker1", settings={"holds": str(self.holds)}
        )
        self.apply_issuer({"selector": {"dnsZones": [DNS_ZONE]}, **self.rfc2136()}, HTTP01)
        self.pids = self.running()
        return self

    def _accounts_of_the_chart(self):
        """The kubeconfig with the rights of the chart, through the proxy."""
        accounts = super()._accounts_of_the_chart()
        return {
            kind: {
                name: str(self.proxy.kubeconfig(Path(value))) if name == "kubeconfig" else value
                for name, value in own.items()
            }
            for kind, own in accounts.items()
        }

    @property
    def holds(self) -> Path:
        return self.directory / "holds"

    def make_namespace(self, name: str) -> str:
        make_namespace(self.kube, name)
        return name

    @contextlib.contextmanager
    def hold(self, namespace: str, name: str, step: str, point: str = "before-act") -> Iterator[Path]:
        """Hold the worker at this point of a step until the block ends. Yields a file that exists while
        the worker is held."""
        self.holds.mkdir(exist_ok=True)
        file = hold_file(self.holds, f"{namespace}/{name}", step, point)
        file.touch()
        try:
            yield file.with_name(f"{file.name}.held")
        finally:
            file.unlink()

    def apply_both(self, namespace: str, name: str) -> None:
        """A Certificate for a name by DNS-01 and one by HTTP-01."""
        self.apply_certificate(namespace, name, *self.names_of(namespace, name))

    def names_of(self, namespace: str, name: str) -> tuple[str, str]:
        """The names of both Certificates: (DNS-01, HTTP-01)."""
        return f"{name}.{namespace}.{DNS_ZONE}", f"{name}.{namespace}.example.test"

    def restart_api(self) -> None:
        """Start the API server again after a kill. etcd was running all the time."""
        self.kube.start()

    def orders_of(self, *names: str) -> dict[str, int]:
        """The number of orders for each name, as the CA has recorded them."""
        ordered: Counter[str] = orders_by_name(self.runtime, "prod-issuer")
        return {name: ordered[name] for name in names}

    def running(self) -> dict[str, int | None]:
        """The running process of each kind. A process that ended is None."""
        return {
            name: process.pid if process.is_running else None
            for name, process in self.certmill.processes.items()
        }

    def wait_held(self, held: Path) -> None:
        """Wait until a worker is held at this point."""
        self.until(held.exists, what=f"nobody stands at {held.name}")

    def wait_all_ready(self, namespace: str, names: Iterable[str], *, seconds: float = 60) -> None:
        """Wait until these Certificates are Ready and no run is in progress."""

        def waiting():
            found = {one["metadata"]["name"]: one for one in self.client.list(CERTIFICATES, namespace).items}
            return [name for name in names if not _is_ready(found.get(name, {}))]

        def why():
            records = {
                name: self.runtime.ports.records.read(CertificateId(f"{namespace}/{name}"))
                for name in waiting()
            }
            return str(
                {
                    name: (self.conditions(CERTIFICATES, namespace, name), record)
                    for name, record in records.items()
                }
            )

        self.until(lambda: not waiting(), seconds=seconds, what=why)

    def assert_no_trace(self, namespace: str, *names: str) -> None:
        """Assert that there is no TXT value at these names, no solver object in the namespace, and in
        Redis only idle records."""

        def left():
            txt = {name: found for name in names if (found := self.bind.txt(f"_acme-challenge.{name}"))}
            journal = [
                entry for entry in self.runtime.redis.hkeys(keys.JOURNAL) if entry.startswith(f"{namespace}/")
            ]
            tokens = list(self.runtime.redis.scan_iter("certmill:http01:*"))
            return [*txt.items(), *self.traces(namespace), *journal, *tokens]

        self.until(lambda: left() == [], seconds=120, what=lambda: str(left()))

    def is_served(self, host: str) -> bool:
        """Whether nginx serves this host."""
        return f"server_name {host};" in (self.directory / "nginx" / "nginx.conf").read_text()

    def cpu_seconds(self) -> float:
        """All requests that certmill's processes have made so far."""
        ticks = 0
        for process in self.certmill.processes.values():
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def apply_issuer_of(self, namespace: str, name: str, *solvers: dict[str, Any], account: str = "") -> None:
        """An Issuer with its own account, whose key is in the Secret `account`."""
        spec = {"acme": self.acme(*solvers, privateKeySecretRef={"name": account or f"{name}-account"})}
        path = ISSUERS.path(namespace, name)
        metadata = {"name": name, "namespace": namespace}
        self.kube.api.apply(
            path, {"apiVersion": ISSUERS.api_version, "kind": "Issuer", "metadata": metadata, "spec": spec}
        )

    def signal(self, process: str, number: signal.Signals) -> None:
        """Send a signal to one of certmill's processes."""
        self.certmill.processes[process]._signal(number)


def _is_ready(certificate) -> bool:
    found = {one["type"]: one["status"] for one in certificate.get("status", {}).get("conditions", ())}
    return found.get("Ready") == "True" and "Issuing" not in found


def an_ingress(namespace):
    """An annotated Ingress with TLS that is edited in place."""
    host = f"shop.{namespace}.example.test"
    annotations = {
        "cert-manager.io/cluster-issuer": "prod-issuer",
        "acme.cert-manager.io/http01-edit-in-place": "true",
    }
    backend = {"service": {"name": "tea-svc", "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": "/tea", "pathType": "Prefix", "backend": backend}]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "shop", "annotations": annotations},
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": [host], "secretName": "shop-tls"}],
            "rules": [rule],
        },
    }
