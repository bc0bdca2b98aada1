"""What cert-manager's users see where an issuer is refused, late, made again or going: in a whole
installation, issuing by DNS-01."""

from __future__ import annotations

import base64
import time

import pytest

from certmill.home.kubernetes.status import ATTEMPT_ANNOTATION
from certmill.kube.objects import managed_fields, meta_of
from certmill.kube.resources import CERTIFICATES, CLUSTER_ISSUERS, INGRESSES, SECRETS
from certmill.testing.faulty_ca import Fault, FaultyCA
from tests.support.cluster import OTHER
from tests.support.kube_lab import KubeLab

RESYNC_SECONDS = 2
NEW_ORDER = "/order-plz"


@pytest.fixture(scope="module")
def lab(empty_kube, tmp_path_factory):
    settings = {
        "secrets_field_manager": "cert-manager-certificates-issuing",
        "resync_seconds": str(RESYNC_SECONDS),
    }
    with KubeLab(
        directory=tmp_path_factory.mktemp("cluster"), kube=empty_kube, settings=settings, serves=False
    ) as lab:
        lab.apply_issuer(lab.rfc2136())
        yield lab


@pytest.fixture
def held(lab):
    """Hold an object by a finalizer and delete it; the finalizer goes after the test."""
    objects = []

    def delete(resource, namespace, name):
        lab.client.merge(resource, namespace, name, {"metadata": {"finalizers": ["example.com/hold"]}})
        objects.append((resource, namespace, name))
        lab.client.delete(resource, namespace, name)

    yield delete
    for resource, namespace, name in objects:
        lab.client.merge(resource, namespace, name, {"metadata": {"finalizers": None}})


def status_of(lab, namespace, name):
    return lab.client.get(CERTIFICATES, namespace, name).get("status", {})


def failures(lab, namespace, name):
    return status_of(lab, namespace, name).get("failedIssuanceAttempts")


def note_of_order(lab, namespace, name):
    """The order that a run has noted on its Certificate; its last step takes the note away."""
    annotations = meta_of(lab.client.get(CERTIFICATES, namespace, name)).annotations
    return "order" in annotations.get(ATTEMPT_ANNOTATION, "")


def test_a_403_for_one_name_stops_no_tenant_of_a_shared_issuer_and_no_back_off(lab, namespace):
    hosts = {kind: f"{kind}.{namespace}.example.test" for kind in ("blocked", "rejected", "good")}
    with FaultyCA(upstream=lab.pebble.directory_url, upstream_ca=lab.pebble.ca_bundle) as ca:
        ca.break_with(
            Fault.problem("unauthorized", status=403, detail="blocked for this account"),
            on=NEW_ORDER,
            payload=hosts["blocked"],
        )
        ca.break_with(
            Fault.problem("rejectedIdentifier", detail="policy forbids it"),
            on=NEW_ORDER,
            payload=hosts["rejected"],
        )
        trust = {"server": ca.directory_url, "caBundle": base64.b64encode(ca.ca_bundle).decode()}
        shared = f"{namespace}-shared"
        lab.apply_issuer(lab.rfc2136(), name=shared, privateKeySecretRef={"name": f"{shared}-key"}, **trust)
        before = lab.conditions(CLUSTER_ISSUERS, "", shared)["Ready"]
        ref = {"name": shared, "kind": "ClusterIssuer"}
        for kind in ("blocked", "rejected"):
            lab.apply_certificate(namespace, kind, hosts[kind], issuerRef=ref)
        for kind in ("blocked", "rejected"):
            lab.until(lambda kind=kind: failures(lab, namespace, kind) == 1, what=f"{kind} fails")

        time.sleep(2 * RESYNC_SECONDS + 2)  # two resyncs of the controller, by its own clock

        lab.apply_certificate(namespace, "good", hosts["good"], issuerRef=ref)
        assert lab.wait_ready(namespace, "good").dns_names == (hosts["good"],)
        assert [failures(lab, namespace, kind) for kind in ("blocked", "rejected")] == [1, 1]
        assert lab.conditions(CLUSTER_ISSUERS, "", shared)["Ready"] == before


def test_a_certificate_before_its_issuer_waits_uncounted_and_is_then_issued(lab, namespace):
    late = f"{namespace}-late"
    lab.apply_certificate(
        namespace, "web", f"{namespace}.example.test", issuerRef={"name": late, "kind": "ClusterIssuer"}
    )

    def waits():
        issuing = lab.conditions(CERTIFICATES, namespace, "web").get("Issuing", {})
        return issuing.get("status") == "True" and f"ClusterIssuer/{late} is not there" in issuing["message"]

    lab.until(waits, what=lambda: str(lab.conditions(CERTIFICATES, namespace, "web")))
    assert "failedIssuanceAttempts" not in status_of(lab, namespace, "web")
    lab.until(
        lambda: any(reason == "Waiting" for _, reason, _ in lab.events(namespace, "web")), what="the event"
    )
    assert {type_ for type_, _, _ in lab.events(namespace, "web")} == {"Normal"}

    lab.apply_issuer(lab.rfc2136(), name=late, privateKeySecretRef={"name": f"{late}-key"})
    assert lab.wait_ready(namespace, "web").dns_names == (f"{namespace}.example.test",)
    assert "lastFailureTime" not in status_of(lab, namespace, "web")


def test_a_certificate_that_is_being_deleted_gets_nothing_back_and_orders_nothing(lab, namespace, held):
    host = f"{namespace}.example.test"
    lab.apply_certificate(namespace, "web", host)
    lab.wait_ready(namespace, "web")
    lab.until(
        lambda: not note_of_order(lab, namespace, "web"), what="its run has ended"
    )  # clean_up comes after Ready
    held(CERTIFICATES, namespace, "web")
    orders, version = lab.orders(), meta_of(lab.client.get(CERTIFICATES, namespace, "web")).resource_version

    lab.client.delete(SECRETS, namespace, "web-tls")
    lab.apply_certificate(namespace, "later", f"later.{host}")  # what has been looked at after it
    lab.wait_ready(namespace, "later")

    assert lab.client.get(SECRETS, namespace, "web-tls") is None
    assert lab.orders() == orders + 1
    assert meta_of(lab.client.get(CERTIFICATES, namespace, "web")).resource_version == version


def test_a_run_of_a_certificate_that_is_being_deleted_stops_and_cleans_up(lab, namespace, held):
    name = f"{namespace}-away"
    lab.apply_certificate(
        namespace, "web", f"{namespace}.example.test", issuerRef={"name": name, "kind": "ClusterIssuer"}
    )
    lab.until(lambda: "Issuing" in lab.conditions(CERTIFICATES, namespace, "web"), what="its run waits")
    held(CERTIFICATES, namespace, "web")

    lab.until(lambda: lab.runtime.ports.records.read(f"{namespace}/web") is None, what="its run is over")
    lab.apply_issuer(lab.rfc2136(), name=name, privateKeySecretRef={"name": f"{name}-key"})
    assert lab.client.get(SECRETS, namespace, "web-tls") is None


def test_the_certificate_of_an_ingress_being_deleted_is_not_created_again(lab, namespace, held):
    host = f"{namespace}.example.test"
    rule = {
        "host": host,
        "http": {
            "paths": [
                {
                    "path": "/",
                    "pathType": "Prefix",
                    "backend": {"service": {"name": "a", "port": {"number": 80}}},
                }
            ]
        },
    }
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "spec": {"tls": [{"hosts": [host], "secretName": "shop"}], "rules": [rule]},
    }
    lab.apply(
        body
        | {"metadata": {"name": "shop", "annotations": {"cert-manager.io/cluster-issuer": "prod-issuer"}}},
        namespace,
    )
    lab.until(lambda: lab.client.get(CERTIFICATES, namespace, "shop"), what="its Certificate")
    held(INGRESSES, namespace, "shop")

    lab.client.delete(CERTIFICATES, namespace, "shop")
    lab.apply_certificate(namespace, "later", f"later.{host}")
    lab.wait_ready(namespace, "later")

    assert lab.client.get(CERTIFICATES, namespace, "shop") is None


def test_an_issuer_recreated_at_once_is_not_ready_without_its_account(lab, namespace):
    name = f"{namespace}-again"
    body = {"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": name}}
    body["spec"] = {"acme": lab.acme(lab.rfc2136(), privateKeySecretRef={"name": f"{name}-key"})}
    lab.apply(body)

    def is_ready():
        """Whether it is ready now, which it may be with its account only."""
        found = lab.client.get(CLUSTER_ISSUERS, "", name)
        status = found.get("status", {})
        ready = any(
            one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", [])
        )
        assert status.get("acme", {}).get("uri") or not ready, status
        return ready

    lab.until(is_ready, what="ready")
    for _ in range(5):
        lab.client.delete(CLUSTER_ISSUERS, "", name)
        lab.apply(body)
        lab.until(is_ready, pause=0.01, what="ready again")


@pytest.mark.parametrize("reason", ["Rotation", "ManuallyTriggered"])
def test_issuing_set_by_hand_issues_whatever_its_reason(lab, namespace, reason):
    lab.apply_certificate(namespace, "web", f"{namespace}.example.test")
    first = lab.wait_ready(namespace, "web")
    path = f"{CERTIFICATES.path(namespace, 'web')}/status"
    asked = {
        "type": "Issuing",
        "status": "True",
        "reason": reason,
        "message": "asked",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }

    def is_asked():
        """A run that has just ended may write once more between the two (409)."""
        body = lab.kube.api.request("GET", path).body
        body["status"]["conditions"].append(asked)
        return lab.kube.api.request("PUT", f"{path}?fieldManager={OTHER}", body).is_ok

    lab.until(is_asked, what="asked")

    lab.until(lambda: lab.leaf(namespace, "web-tls").serial != first.serial, what="another certificate")
    lab.wait_ready(namespace, "web")
    assert status_of(lab, namespace, "web")["revision"] == 2


def test_a_secret_is_written_by_the_field_manager_that_is_set(lab, namespace):
    orders = lab.orders()
    lab.apply_certificate(namespace, "web", f"{namespace}.example.test")
    lab.wait_ready(namespace, "web")

    entries = managed_fields(lab.client.get(SECRETS, namespace, "web-tls"))
    assert [(entry["manager"], entry["operation"]) for entry in entries] == [
        ("cert-manager-certificates-issuing", "Apply")
    ]
    assert lab.orders() == orders + 1


def test_the_account_key_of_a_ca_that_cannot_be_reached_is_made(lab, namespace):
    name = f"{namespace}-unreachable"
    body = {"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": name}}
    acme = lab.acme(
        lab.rfc2136(), server="https://127.0.0.1:1/directory", privateKeySecretRef={"name": f"{name}-key"}
    )
    lab.apply(body | {"spec": {"acme": acme}})

    lab.until(lambda: lab.condition(CLUSTER_ISSUERS, "", name, "Ready") == "False", what="it is not ready")
    assert lab.client.get(SECRETS, "cert-manager", f"{name}-key") is not None
