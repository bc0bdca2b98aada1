"""The tutorial's manifests, with nothing changed but server, caBundle and host; and what its reader sees."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request

import pytest

from certmill.kube.resources import CERTIFICATES, CLUSTER_ISSUERS, CUSTOM_RESOURCE_DEFINITIONS, INGRESSES, SECRETS
from tests.controller.lab import TSIG_SECRET, VIRTUAL_SERVER_CRD, KubeLab

EIGHT = {"alt-names", "certificate-name", "common-name", "ip-sans", "issuer-group", "issuer-kind", "issuer-name", "uri-sans"}
HTTP01 = {"http01": {"ingress": {"class": "nginx"}}}


@pytest.fixture(scope="module")
def lab(kube, tmp_path_factory):
    kube.api.apply(CUSTOM_RESOURCE_DEFINITIONS.path(None, VIRTUAL_SERVER_CRD["metadata"]["name"]), VIRTUAL_SERVER_CRD)
    with KubeLab(directory=tmp_path_factory.mktemp("cluster"), kube=kube) as lab:
        yield lab


def cafe_ingress(host):
    """3-ingress.yaml, with its host."""
    backend = {name: {"service": {"name": f"{name}-svc", "port": {"number": 80}}} for name in ("tea", "coffee")}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "cafe-ingress",
            "annotations": {
                "cert-manager.io/cluster-issuer": "prod-issuer",
                "acme.cert-manager.io/http01-edit-in-place": "true",
            },
        },
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": [host], "secretName": "cafe-secret"}],
            "rules": [
                {
                    "host": host,
                    "http": {"paths": [{"path": f"/{name}", "pathType": "Prefix", "backend": backend[name]} for name in ("tea", "coffee")]},
                }
            ],
        },
    }


def cafe_virtual_server(host):
    """4-virtualserver.yaml, with its host."""
    return {
        "apiVersion": "k8s.nginx.org/v1",
        "kind": "VirtualServer",
        "metadata": {"name": "cafe"},
        "spec": {
            "host": host,
            "tls": {"secret": "cafe-secret", "cert-manager": {"cluster-issuer": "prod-issuer"}},
            "upstreams": [{"name": name, "service": f"{name}-svc", "port": 80} for name in ("tea", "coffee")],
            "routes": [{"path": f"/{name}", "action": {"pass": name}} for name in ("tea", "coffee")],
        },
    }


def ask(lab, host, path):
    """What nginx answers for a host's path."""
    request = urllib.request.Request(f"http://127.0.0.1:{lab.nginx.port}{path}", headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


class Customer:
    """Asks for tea and coffee all the time, and remembers every answer."""

    def __init__(self, lab, host):
        self.answers = set()
        self._lab, self._host = lab, host
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._drink, daemon=True)

    def __enter__(self):
        served = []

        def served_by_every_worker():
            """While nginx reloads, an old worker may still take a connection: what it has not served once is not new."""
            answers = {ask(self._lab, self._host, path)[0] for path in ("/tea", "/coffee")}
            served[:] = [*served, answers] if answers == {200} else []
            return len(served) >= 10

        self._lab.until(served_by_every_worker, what="tea and coffee are served")
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join(10)

    def _drink(self):
        while not self._stop.wait(0.02):
            self.answers |= {ask(self._lab, self._host, path)[0] for path in ("/tea", "/coffee")}


def assert_secret_is_as_the_tutorial_says(lab, namespace, host, *, group):
    secret = lab.client.get(SECRETS, namespace, "cafe-secret")
    found = {name.removeprefix("cert-manager.io/"): value for name, value in secret["metadata"]["annotations"].items()}
    assert set(found) == EIGHT
    assert found | {"common-name": ""} == {
        "alt-names": host,
        "certificate-name": "cafe-secret",
        "common-name": "",
        "ip-sans": "",
        "issuer-group": group,
        "issuer-kind": "ClusterIssuer",
        "issuer-name": "prod-issuer",
        "uri-sans": "",
    }
    assert found["common-name"] == lab.leaf(namespace, "cafe-secret").common_name
    assert secret["type"] == "kubernetes.io/tls"
    assert set(secret["data"]) == {"tls.crt", "tls.key"}


def row(kube, namespace, name):
    """A Certificate's row in `kubectl get certificates`."""
    accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
    table = kube.api.request("GET", CERTIFICATES.path(namespace, name), accept=accept).body
    columns = [column["name"] for column in table["columnDefinitions"] if column["priority"] == 0]
    return dict(zip(columns, table["rows"][0]["cells"], strict=False))


def test_an_annotated_ingress_gets_its_certificate_by_edit_in_place_while_it_serves(lab, kube, namespace):
    host = f"{namespace}.example.test"
    lab.apply_issuer(HTTP01)
    lab.apply(cafe_ingress(host), namespace)
    before = lab.client.get(INGRESSES, namespace, "cafe-ingress")

    with Customer(lab, host) as customer:
        leaf = lab.wait_ready(namespace, "cafe-secret")
        lab.until(lambda: lab.traces(namespace) == [], what=lambda: lab.traces(namespace))

    assert leaf.dns_names == (host,)
    assert customer.answers == {200}
    assert row(kube, namespace, "cafe-secret") | {"Age": ""} == {"Name": "cafe-secret", "Ready": "True", "Secret": "cafe-secret", "Age": ""}
    assert_secret_is_as_the_tutorial_says(lab, namespace, host, group="cert-manager.io")
    after = lab.client.get(INGRESSES, namespace, "cafe-ingress")
    assert (after["spec"], after["metadata"]["annotations"]) == (before["spec"], before["metadata"]["annotations"])
    assert ("Normal", "CreateCertificate", 'Successfully created Certificate "cafe-secret"') in lab.events(namespace, "cafe-ingress")


def test_a_virtual_server_gets_its_certificate_by_a_solver_ingress(lab, kube, namespace):
    host = f"{namespace}.example.test"
    lab.apply_issuer(HTTP01)
    lab.apply(cafe_virtual_server(host), namespace)

    with Customer(lab, host) as customer:
        leaf = lab.wait_ready(namespace, "cafe-secret")
        lab.until(lambda: lab.traces(namespace) == [], what=lambda: lab.traces(namespace))

    assert leaf.dns_names == (host,)
    assert customer.answers == {200}
    assert_secret_is_as_the_tutorial_says(lab, namespace, host, group="")


def test_the_ingress_gets_its_certificate_by_dns_01_too(lab, kube, namespace):
    host = f"{namespace}.example.test"
    lab.apply_issuer(lab.rfc2136())
    lab.apply(cafe_ingress(host), namespace)

    assert lab.wait_ready(namespace, "cafe-secret").dns_names == (host,)
    lab.until(lambda: lab.bind.txt(f"_acme-challenge.{host}") == set(), what="the TXT value is gone")


def test_a_renewal_that_cmctl_asks_for_through_the_status_is_one_run(lab, namespace):
    lab.apply_issuer(lab.rfc2136())
    lab.apply_certificate(namespace, "web", f"{namespace}.example.test")
    first = lab.wait_ready(namespace, "web")
    body = lab.client.get(CERTIFICATES, namespace, "web")
    asked = {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "Certificate re-issuance manually triggered"}
    body["status"]["conditions"].append(asked | {"lastTransitionTime": "2026-01-01T00:00:00Z"})

    lab.client.update(CERTIFICATES, body, subresource="status")
    lab.until(lambda: lab.leaf(namespace, "web-tls").serial != first.serial, what="another certificate")
    second = lab.wait_ready(namespace, "web")

    assert lab.client.get(CERTIFICATES, namespace, "web")["status"]["revision"] == 2
    assert lab.leaf(namespace, "web-tls").serial == second.serial


def test_a_secret_that_was_deleted_comes_back_and_one_that_was_edited_is_mended_without_an_order(lab, namespace):
    lab.apply_issuer(lab.rfc2136())
    lab.apply_certificate(namespace, "web", f"{namespace}.example.test")
    lab.wait_ready(namespace, "web")
    before = lab.client.get(SECRETS, namespace, "web-tls")

    lab.client.merge(SECRETS, namespace, "web-tls", {"metadata": {"annotations": {"cert-manager.io/alt-names": "wrong", "note": "mine"}}})
    mended = lab.until(
        lambda: (
            (found := lab.client.get(SECRETS, namespace, "web-tls"))["metadata"]["annotations"]["cert-manager.io/alt-names"] != "wrong"
            and found
        )
    )
    assert mended["data"] == before["data"]
    assert mended["metadata"]["annotations"]["note"] == "mine"

    lab.client.delete(SECRETS, namespace, "web-tls")
    back = lab.until(lambda: lab.client.get(SECRETS, namespace, "web-tls"), what="the Secret is back")
    assert set(back["data"]) == {"tls.crt", "tls.key"}
    assert lab.wait_ready(namespace, "web").dns_names == (f"{namespace}.example.test",)


def test_an_issuer_whose_secret_is_missing_says_so_and_goes_on_when_it_is_there(lab, namespace):
    solver = lab.rfc2136()
    solver["dns01"]["rfc2136"]["tsigSecretSecretRef"]["name"] = f"{namespace}-tsig"
    name = f"{namespace}-issuer"
    issuer = {"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": name}, "spec": {"acme": lab.acme(solver)}}
    lab.apply(issuer)
    lab.until(lambda: lab.conditions(CLUSTER_ISSUERS, "", name).get("Ready", {}).get("reason") == "InvalidSolver", what="it says so")
    lab.apply_certificate(namespace, "web", f"{namespace}.example.test", issuerRef={"name": name, "kind": "ClusterIssuer"})
    lab.until(lambda: lab.condition(CERTIFICATES, namespace, "web", "Issuing") == "False", what="it fails")
    assert f"cert-manager/{namespace}-tsig" in lab.conditions(CERTIFICATES, namespace, "web")["Issuing"]["message"]
    lab.until(lambda: any(reason == "Failed" for _, reason, _ in lab.events(namespace, "web")), what="the event")

    lab.apply_secret("cert-manager", f"{namespace}-tsig", {"secret": TSIG_SECRET})
    touched = issuer | {"metadata": {"name": name, "annotations": {"example.com/touched": "true"}}}
    lab.apply(touched)  # the controller would look by itself within half a minute
    assert lab.wait_ready(namespace, "web").dns_names == (f"{namespace}.example.test",)
    assert lab.condition(CLUSTER_ISSUERS, "", name, "Ready") == "True"
