"""A cluster with certmill: a real API server, Redis, Pebble, BIND, nginx, and certmill's processes."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from certmill.crypto import chain
from certmill.kube.client import KubeClient
from certmill.kube.connection import connect
from certmill.kube.objects import meta_of
from certmill.kube.resources import (
    CERTIFICATES,
    CLUSTER_ISSUERS,
    ENDPOINT_SLICES,
    EVENTS,
    INGRESSES,
    SECRETS,
    SERVICES,
    Resource,
)
from certmill.runtime import Runtime
from compose import render
from compose.local import LocalCertmill
from compose.servers.bind import Bind
from compose.servers.cluster.kubernetes import SERVICE_ACCOUNT, KubeApiServer
from compose.servers.nginx import Nginx
from compose.servers.pebble import Pebble
from compose.servers.process import Spawn
from compose.servers.redis import RedisServer
from tests.support.chart import grant
from tests.support.cluster import make_namespace
from tests.support.ingress_controller import IngressController
from tests.support.manifest_bodies import Body
from tests.support.preloaded import spawn_preloaded
from tests.support.waiting import until

TSIG_SECRET = base64.b64encode(b"a secret of sixteen-and-more bytes").decode()
RESPONDER = "192.0.2.80"
"""The responder's address in the cluster. EndpointSlices do not accept loopback addresses; the lab's nginx
maps it to the real one."""


@dataclass(kw_only=True)
class KubeLab:
    """All parts of one installation, on an existing API server."""

    directory: Path
    kube: KubeApiServer
    settings: dict[str, str] = field(default_factory=dict)
    workers: int = 1
    serves: bool = True
    """Whether nginx is configured from the Ingresses. Tests without HTTP-01 do not need it."""
    spawn: Spawn = spawn_preloaded

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        enter = self._stack.enter_context
        dns = self._start_servers()
        self.client = KubeClient(connect(kubeconfig=self.kube.kubeconfig()))
        self.certmill = enter(
            LocalCertmill(
                directory=self.directory,
                redis_url=self.redis.url,
                settings=self._settings(dns) | self.settings,
                settings_of=self._accounts_of_the_chart(),
                spawn=self.spawn,
            )
        )
        self._expose_responder()
        if self.serves:
            self.start_ingress_controller()
        self.certmill.start(workers=self.workers)
        self.certmill.start_controller()
        self.runtime: Runtime = self.certmill.open()
        self._stack.callback(self.runtime.close)
        self.apply_secret("cert-manager", "tsig", {"secret": TSIG_SECRET})
        return self

    def _start_servers(self) -> str:
        """Start Redis, BIND, the front and Pebble. Returns the resolver, host:port."""
        enter = self._stack.enter_context
        self.redis = enter(RedisServer(directory=self.directory / "redis"))
        self.bind = enter(
            Bind(
                directory=self.directory / "bind",
                zones=("example.test",),
                tsig={"certmill": ("hmac-sha256", TSIG_SECRET)},
            )
        )
        self.http_port, self.tls_port = self.start_front()
        dns = self.start_dns()
        self.pebble = enter(
            Pebble(
                directory=self.directory / "pebble", dns=dns, http_port=self.http_port, tls_port=self.tls_port
            )
        )
        return dns

    def _settings(self, dns: str) -> dict[str, str]:
        return {
            "home_kind": "kubernetes",
            "kubeconfig": str(self.kube.kubeconfig()),
            "recursive_nameservers": dns,
            "authoritative_port": dns.rpartition(":")[2],
            "http01_port": str(self.http_port),
            "http01_tls_port": str(self.tls_port),
            "step_lease_seconds": "6",
            "step_grace_seconds": "2",
        }

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def start_front(self) -> tuple[int, int]:
        """The ports to which the CA sends HTTP and TLS requests."""
        self.nginx = self._stack.enter_context(Nginx(directory=self.directory / "nginx"))
        return self.nginx.port, self.nginx.tls_port

    def start_dns(self) -> str:
        """The resolver of all processes, host:port. It is also authoritative for every name."""
        return self.bind.address

    def start_ingress_controller(self) -> None:
        """The ingress controller, which configures the front from the API."""
        addresses = {RESPONDER: f"127.0.0.1:{self.certmill.responder_port}"}
        self.ingress_controller = self._stack.enter_context(
            IngressController(self.client, self.nginx, addresses)
        )

    def _accounts_of_the_chart(self) -> dict[str, dict[str, str]]:
        """Each process has exactly the rights that the chart grants; only the tests are admin."""
        make_namespace(self.kube, render.NAMESPACE)
        grant(self.kube, render.objects())
        account = f"{SERVICE_ACCOUNT}{render.NAMESPACE}:{render.RELEASE}"
        tokens = {
            name: {"kubeconfig": str(self.kube.kubeconfig(f"{account}-{name}"))}
            for name in ("controller", "worker")
        }
        return tokens | {name: {"home_kind": "directory"} for name in ("beat", "responder", "flower")}

    def _expose_responder(self) -> None:
        """The objects that the chart's Service and Kubernetes' controller create for the responder's Pod."""
        self.client.apply(
            ENDPOINT_SLICES,
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": "certmill-responder-1",
                    "namespace": "cert-manager",
                    "labels": {"kubernetes.io/service-name": "certmill-responder"},
                },
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": self.certmill.responder_port}],
                "endpoints": [{"addresses": [RESPONDER], "conditions": {"ready": True}}],
            },
        )

    def acme(self, *solvers: Body, **fields: object) -> Body:
        """spec.acme with this lab's CA."""
        return {
            "email": "ops@example.test",
            "server": self.pebble.directory_url,
            "caBundle": base64.b64encode(self.pebble.ca_bundle).decode(),
            "privateKeySecretRef": {"name": "prod-issuer-account-key"},
            "solvers": list(solvers),
        } | fields

    def rfc2136(self) -> Body:
        """A DNS-01 solver that uses the lab's BIND."""
        tsig = {
            "tsigKeyName": "certmill",
            "tsigAlgorithm": "HMACSHA256",
            "tsigSecretSecretRef": {"name": "tsig", "key": "secret"},
        }
        return {"dns01": {"rfc2136": {"nameserver": self.bind.address, **tsig}}}

    def apply(self, manifest: Body, namespace: str = "") -> Body:
        """The same as `kubectl apply`; the manifest's kind decides the resource."""
        resource = {one.kind: one for one in (CERTIFICATES, CLUSTER_ISSUERS, INGRESSES, SECRETS)}.get(
            manifest["kind"]
        )
        plural = f"{manifest['kind'].lower()}s"
        group, _, version = manifest["apiVersion"].rpartition("/")
        if resource is not None:
            path = resource.path(namespace, manifest["metadata"]["name"])
        else:
            path = f"/apis/{group}/{version}/namespaces/{namespace}/{plural}/{manifest['metadata']['name']}"
        body = manifest | {"metadata": manifest["metadata"] | ({"namespace": namespace} if namespace else {})}
        return self.kube.api.apply(path, body)

    def apply_issuer(self, *solvers: Body, name: str = "prod-issuer", **fields: object) -> None:
        """Apply the tutorial's ClusterIssuer with these solvers, and wait until it is ready."""
        spec = {"acme": self.acme(*solvers, **fields)}
        kind = {"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer"}
        self.apply(kind | {"metadata": {"name": name}, "spec": spec})

        def ready() -> bool:
            generation = self._read(CLUSTER_ISSUERS, "", name)["metadata"]["generation"]
            found = self.conditions(CLUSTER_ISSUERS, "", name).get("Ready", {})
            return bool(found.get("status") == "True" and found.get("observedGeneration") == generation)

        self.until(ready, seconds=150, what=f"{name} ready")  # the first waits for all processes to start

    def apply_secret(self, namespace: str, name: str, values: Mapping[str, str]) -> Body:
        """An Opaque Secret."""
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
        return self.apply(body, namespace)

    def apply_certificate(
        self,
        namespace: str,
        name: str,
        *dns_names: str,
        annotations: Mapping[str, str] | None = None,
        **spec: object,
    ) -> Body:
        """A Certificate with an ECDSA key, by the tutorial's issuer."""
        own = {
            "secretName": f"{name}-tls",
            "dnsNames": list(dns_names),
            "privateKey": {"algorithm": "ECDSA", "size": 256},
            "issuerRef": {"name": "prod-issuer", "kind": "ClusterIssuer"},
        }
        metadata = {"name": name, "annotations": annotations or {}}
        body = {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": metadata,
            "spec": own | spec,
        }
        return self.apply(body, namespace)

    def condition(self, resource: Resource, namespace: str, name: str, type_: str) -> str:
        """The status of a condition, or ""."""
        return str(self.conditions(resource, namespace, name).get(type_, {}).get("status", ""))

    def conditions(self, resource: Resource, namespace: str, name: str) -> dict[str, Body]:
        """The conditions of an object, by type."""
        found: Body = dict(self.client.get(resource, namespace, name) or {})
        return {one["type"]: one for one in found.get("status", {}).get("conditions", [])}

    def wait_ready(self, namespace: str, name: str, *, seconds: float = 60) -> chain.Leaf:
        """Wait until a Certificate is Ready and no run is in progress. Returns the stored leaf."""

        def ready() -> bool:
            found = self.conditions(CERTIFICATES, namespace, name)
            return found.get("Ready", {}).get("status") == "True" and "Issuing" not in found

        self.until(
            ready, seconds=seconds, what=lambda: json.dumps(self.conditions(CERTIFICATES, namespace, name))
        )
        secret_name = self._read(CERTIFICATES, namespace, name)["spec"]["secretName"]
        return self.leaf(namespace, secret_name)

    def leaf(self, namespace: str, secret_name: str) -> chain.Leaf:
        """The leaf in a Secret."""
        return chain.leaf(base64.b64decode(self._read(SECRETS, namespace, secret_name)["data"]["tls.crt"]))

    def _read(self, resource: Resource, namespace: str, name: str) -> Body:
        found = self.client.get(resource, namespace, name)
        assert found is not None, f"{resource.kind} {namespace}/{name} is not there"
        return dict(found)

    def events(self, namespace: str, name: str) -> list[tuple[str, str, str]]:
        """(type, reason, message) of the events about an object of this name."""
        found: list[Any] = list(self.client.list(EVENTS, namespace).items)
        return [
            (one["type"], one["reason"], one["message"])
            for one in found
            if one["involvedObject"].get("name") == name  # the API server's own events may have none
        ]

    def orders(self) -> int:
        """The number of orders that the CA has created."""
        return self.pebble.log.read_text().count("Added order")

    def traces(self, namespace: str) -> list[str]:
        """The objects of solvers that are left in a namespace."""
        made = [
            f"{resource.kind} {meta_of(one).name}"
            for resource in (SERVICES, ENDPOINT_SLICES)
            for one in self.client.list(resource, namespace).items
        ]
        solvers = [
            f"Ingress {meta_of(one).name}"
            for one in self.client.list(INGRESSES, namespace).items
            if meta_of(one).labels.get("acme.cert-manager.io/http01-solver")
        ]
        return made + solvers

    until = staticmethod(until)
