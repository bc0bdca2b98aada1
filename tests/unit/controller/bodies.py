"""Objects as the API server sends them, and a scripted API server for the watches."""

from __future__ import annotations

from certmill.controller import ingress
from certmill.controller.views import shim_view
from certmill.kube.client import Listing, WatchEvent

READY = {"type": "Ready", "status": "True", "observedGeneration": 1}
RENEWAL, END = "2027-03-01T00:00:00Z", "2027-04-01T00:00:00Z"
ISSUED = {"conditions": [READY], "renewalTime": RENEWAL, "notAfter": END, "revision": 1}


def condition(type_, status, reason="Reason", generation=1):
    return {"type": type_, "status": status, "reason": reason, "observedGeneration": generation}


def meta(name, namespace, **fields):
    found = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{namespace}-{name}",
        "resourceVersion": "1",
        "generation": 1,
        **fields,
    }
    return {key: value for key, value in found.items() if value}


def a_certificate(name="web", namespace="default", status=None, spec=None, **metadata):
    spec = {
        "secretName": f"{name}-tls",
        "issuerRef": {"name": "prod", "kind": "ClusterIssuer"},
        "dnsNames": ["a.example"],
        **(spec or {}),
    }
    return {"metadata": meta(name, namespace, **metadata), "spec": spec, "status": status or {}}


def a_secret(
    name="web-tls",
    namespace="default",
    certificate="web",
    issuer=("prod", "ClusterIssuer", "cert-manager.io"),
    **metadata,
):
    annotations = {"cert-manager.io/certificate-name": certificate} if certificate else {}
    annotations |= dict(
        zip((f"cert-manager.io/issuer-{part}" for part in ("name", "kind", "group")), issuer, strict=False)
    )
    return {"metadata": meta(name, namespace, annotations=annotations, **metadata)}


def an_issuer(name="prod", namespace="", ready=True, **metadata):
    return {
        "metadata": meta(name, namespace, **metadata),
        "status": {"conditions": [condition("Ready", "True" if ready else "False")]},
    }


def an_ingress(name, *secret_names):
    """An annotated Ingress with TLS for these Secrets."""
    tls = [{"hosts": [f"{secret}.example"], "secretName": secret} for secret in secret_names]
    annotations = {"cert-manager.io/cluster-issuer": "prod"}
    return {"metadata": meta(name, "default", annotations=annotations), "spec": {"tls": tls}}


def a_shim(body):
    """What is kept of an Ingress."""
    return shim_view(body, ingress.desired_by(body))


class Script:
    """A KubeClient that answers lists and watches from a script, and stops the watch at its end.

    `lists`: what each list answers, a tuple of objects (each comes on a page of its own) or an error.
    `watches`: what each watch tells, (type, object) pairs, and last an error if there is one. `asked` has
    what was asked for, in order."""

    def __init__(self, stop, *, lists=(), watches=(), served=()):
        self._stop, self._lists, self._watches, self._served = stop, list(lists), list(watches), list(served)
        self.asked = []
        self.options = []
        self.seconds = []

    def serves(self, resource):
        self.asked.append("serves")
        return self._next(self._served) == "yes"

    def pages(self, resource, namespace="", **options):
        self.asked.append("list")
        self.options.append({"namespace": namespace, **options})
        answer = self._next(self._lists)
        if isinstance(answer, Exception):
            raise answer
        version = f"list {self.asked.count('list')}"
        yield Listing(items=(), resource_version=version)
        for item in answer:
            yield Listing(items=(item,), resource_version=version)

    def watch(self, resource, namespace="", *, resource_version, seconds, **options):
        self.asked.append(f"watch from {resource_version}")
        self.seconds.append(seconds)
        for event in self._next(self._watches):
            if isinstance(event, Exception):
                raise event
            yield WatchEvent(type=event[0], object=event[1])

    def _next(self, script):
        if not script:
            self._stop.set()
            return ()
        return script.pop(0)
