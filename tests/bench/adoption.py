"""k8s_adopt_10k_s and controller_rss_mb: 10,000 Certificates that are right, as an earlier certmill left
them; Redis and certmill are new.

From the controller's start until each has its renewal time in Redis, with no order and no write to the API
(but the leader's Lease); and some seconds more, as an idle controller is to write nothing either."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certmill.certificates import conditions, secret_contract
from certmill.clock import SystemClock
from certmill.crypto import chain
from certmill.home.kubernetes.home import KubernetesHome
from certmill.home.kubernetes.status import with_certificate_status
from certmill.kube.client import KubeClient
from certmill.kube.connection import connect
from certmill.kube.resources import CERTIFICATES
from certmill.model.manifests.parse import parse_certificate
from certmill.model.status import CertificateStatus
from certmill.state import keys
from compose.servers.cluster.kubernetes import KubeApiServer
from tests.bench.cluster import api_server, certificate, installed, writes
from tests.bench.figures import Result
from tests.bench.ground import Ground
from tests.bench.processes import resident_mb
from tests.support.api_requests import requests_of
from tests.support.certificates import a_leaf, alternative_names, as_pem
from tests.support.kube_lab import KubeLab
from tests.support.waiting import until

COUNT = 10_000
_IDLE_SECONDS = 15.0
_THREADS = 4


def measure(ground: Ground) -> Result:
    """Make COUNT pairs, then begin with an empty Redis. Raises RuntimeError when anything was ordered or
    written."""
    with api_server(ground, "adoption") as kube:
        began = time.monotonic()
        _make_stored_certificates(kube)
        making = time.monotonic() - began
        with installed(ground, "adoption", kube) as lab:
            return _adopt(kube, lab, making)


def _adopt(kube: KubeApiServer, lab: KubeLab, making: float) -> Result:
    """The lab has just started its processes: begin again, with a fresh Redis, and measure that."""
    lab.apply_issuer(lab.rfc2136())
    lab.certmill.processes["controller"].stop()
    lab.runtime.redis.flushall()
    before = requests_of(kube)
    began = time.monotonic()
    controller = lab.certmill.start_controller()
    until(
        lambda: lab.runtime.redis.zcard(keys.RENEWALS) >= COUNT,
        what=f"{COUNT} are adopted",
        seconds=300,
        pause=0.05,
    )
    took = time.monotonic() - began
    time.sleep(_IDLE_SECONDS)
    written = writes(requests_of(kube) - before)
    if lab.orders() or written:
        raise RuntimeError(f"adoption made {lab.orders()} orders, and wrote {dict(written)}")
    assert controller.pid is not None
    resident = resident_mb(controller.pid)
    note = (
        f"adoption: {COUNT} Certificates with their Secrets were made in {making:.0f} s; no order, no write "
        f"in {took + _IDLE_SECONDS:.0f} s"
    )
    return Result(figures={"k8s_adopt_10k_s": took, "controller_rss_mb": resident}, notes=[note])


def _make_stored_certificates(kube: KubeApiServer) -> None:
    client = KubeClient(connect(kubeconfig=kube.kubeconfig()))
    home = KubernetesHome(client, cluster_resource_namespace="cert-manager", clock=SystemClock())
    pair = _Pair()

    def make(number: int) -> None:
        body = client.create(CERTIFICATES, certificate(f"site-{number:05}", f"site-{number:05}.example.test"))
        _store(home, client, body, pair)

    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(make, range(COUNT)):
            pass


def _store(home: KubernetesHome, client: KubeClient, body: Mapping[str, object], pair: _Pair) -> None:
    """What a run leaves: the Secret, and a status that says Ready."""
    wanted = parse_certificate(body, source="benchmark")
    pem = pair.leaf(wanted.dns_names[0])
    home.create_secret(secret_contract.secret_of(wanted, pem, pair.key_pem, issuer=wanted.issuer_ref))
    leaf = chain.leaf(pem)
    status = conditions.issued(
        CertificateStatus(), leaf, renew_at=leaf.not_after - 30 * 86_400, now=time.time()
    )
    client.update(CERTIFICATES, with_certificate_status(body, status), subresource="status")


class _Pair:
    """One key for all, and a leaf for each name."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.key_pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    def leaf(self, name: str) -> bytes:
        """PEM; valid for 90 days."""
        names = alternative_names([name])
        return as_pem(a_leaf(self._key, issuer="a CA of the benchmark", names=names, not_before=time.time()))
