"""What people do to the cluster while a challenge is up: the namespace deleted, the Ingress edited, replaced
and deleted, Secrets that are bait."""

from __future__ import annotations

import base64
import time

import pytest

from certmill.kube.resources import (
    CERTIFICATES,
    CLUSTER_ISSUERS,
    ENDPOINT_SLICES,
    INGRESSES,
    ISSUERS,
    NAMESPACES,
    SECRETS,
    SERVICES,
)
from certmill.model.names import certificate_id
from tests.faults.cluster import an_ingress
from tests.support.bait import BAIT

QUIET_SECONDS = 2.0


def finish_deleting(cluster, namespace):
    """The same as Kubernetes' namespace controller."""
    for resource in (CERTIFICATES, INGRESSES, SERVICES, ENDPOINT_SLICES, SECRETS):
        for one in cluster.client.list(resource, namespace).items:
            cluster.client.delete(resource, namespace, one["metadata"]["name"])
    body = cluster.client.get(NAMESPACES, "", namespace)
    path = f"{NAMESPACES.path(None, namespace)}/finalize"
    assert cluster.kube.api.request("PUT", path, body | {"spec": {"finalizers": []}}).is_ok


def asked_about(cluster, namespace):
    """The requests of certmill about a namespace in the next two seconds."""
    since = len(cluster.proxy.asked)
    time.sleep(QUIET_SECONDS)
    return [request for request, _ in cluster.proxy.asked[since:] if request.namespace == namespace]


def test_a_namespace_deleted_in_mid_issuance_ends_its_runs_and_can_be_used_again(cluster, namespace):
    with (
        cluster.hold(namespace, "early", "set_up_challenge") as early,
        cluster.hold(namespace, "web", "validate") as late,
    ):
        for name in ("early", "web"):
            cluster.apply_both(namespace, name)
        cluster.wait_held(early)
        cluster.wait_held(late)
        assert cluster.bind.txt(f"_acme-challenge.{cluster.names_of(namespace, 'web')[0]}") != set()
        assert cluster.traces(namespace) != []
        cluster.client.delete(NAMESPACES, "", namespace)
        assert cluster.client.get(NAMESPACES, "", namespace)["status"]["phase"] == "Terminating"

    def refused_event():
        found = [
            cluster.conditions(CERTIFICATES, namespace, name).get("Issuing", {}) for name in ("early", "web")
        ]
        return all("its namespace is being deleted" in one.get("message", "") for one in found)

    cluster.until(
        refused_event,
        what=lambda: str([cluster.conditions(CERTIFICATES, namespace, name) for name in ("early", "web")]),
    )
    cluster.assert_no_trace(
        namespace, *cluster.names_of(namespace, "web"), *cluster.names_of(namespace, "early")
    )
    finish_deleting(cluster, namespace)
    records = cluster.runtime.ports.records
    cluster.until(
        lambda: not any(records.read(certificate_id(namespace, name)) for name in ("early", "web")),
        what="records are forgotten",
    )
    cluster.until(
        lambda: asked_about(cluster, namespace) == [], what=lambda: str(asked_about(cluster, namespace))
    )

    cluster.make_namespace(namespace)
    cluster.apply_both(namespace, "web")
    cluster.wait_all_ready(namespace, ["web"])
    cluster.assert_no_trace(namespace, *cluster.names_of(namespace, "web"))


def test_a_certificate_deleted_with_its_namespace_leaves_nothing(cluster, namespace):
    with cluster.hold(namespace, "web", "wait_for_propagation", "after-act") as held:
        cluster.apply_both(namespace, "web")
        cluster.wait_held(held)
        cluster.client.delete(NAMESPACES, "", namespace)
        finish_deleting(cluster, namespace)
        assert cluster.client.get(NAMESPACES, "", namespace) is None

    cluster.assert_no_trace(namespace, *cluster.names_of(namespace, "web"))
    read = cluster.runtime.ports.records.read
    cluster.until(
        lambda: (record := read(certificate_id(namespace, "web"))) is None or not record.step,
        what="its run has ended",
    )


def users_own(ingress):
    """The part of an Ingress that belongs to the user."""
    return ingress["spec"], ingress["metadata"].get("annotations", {})


def ours_in(ingress):
    """The paths of challenges, and certmill's note."""
    paths = [
        path["path"]
        for rule in ingress["spec"].get("rules", ())
        for path in rule.get("http", {}).get("paths", ())
    ]
    return [path for path in paths if "acme-challenge" in path], [
        name for name in ingress["metadata"]["annotations"] if "certmill" in name
    ]


def a_path(path):
    return {
        "path": path,
        "pathType": "Prefix",
        "backend": {"service": {"name": "coffee-svc", "port": {"number": 80}}},
    }


def replaced(ingress, manifest):
    """`kubectl replace`: the former manifest, without certmill's path."""
    return manifest | {
        "metadata": manifest["metadata"] | {"resourceVersion": ingress["metadata"]["resourceVersion"]}
    }


def with_another_path(ingress, manifest):
    """`kubectl edit`: the saved object contains certmill's path."""
    ingress["spec"]["rules"][0]["http"]["paths"].append(a_path("/coffee"))
    manifest["spec"]["rules"][0]["http"]["paths"].append(a_path("/coffee"))
    return ingress


def with_other_rules(ingress, manifest):
    """The rule of the host is replaced, and certmill's path is lost with it."""
    manifest["spec"]["rules"][0]["http"]["paths"] = [a_path("/water"), a_path("/")]
    return replaced(ingress, manifest)


@pytest.mark.parametrize("change", [replaced, with_another_path, with_other_rules])
def test_an_ingress_edited_in_mid_challenge_gets_the_path_again_and_keeps_its_own(cluster, namespace, change):
    manifest = an_ingress(namespace)
    manifest["metadata"]["namespace"] = namespace
    with cluster.hold(namespace, "shop-tls", "wait_for_propagation") as held:
        cluster.client.create(INGRESSES, manifest)
        cluster.wait_held(held)
        ingress = cluster.client.get(INGRESSES, namespace, "shop")
        (path,), notes = ours_in(ingress)
        assert path.startswith("/.well-known/acme-challenge/")
        assert notes == ["certmill.io/http01-challenges"]
        cluster.client.update(INGRESSES, change(ingress, manifest))

    cluster.wait_all_ready(namespace, ["shop-tls"])
    cluster.assert_no_trace(namespace, f"shop.{namespace}.example.test")
    assert users_own(cluster.client.get(INGRESSES, namespace, "shop")) == users_own(manifest)
    assert cluster.orders_of(f"shop.{namespace}.example.test") == {f"shop.{namespace}.example.test": 1}


def test_a_host_changed_during_a_challenge_is_the_one_that_is_issued(cluster, namespace):
    manifest = an_ingress(namespace)
    manifest["metadata"]["namespace"] = namespace
    host = f"bar.{namespace}.example.test"
    with cluster.hold(namespace, "shop-tls", "wait_for_propagation") as held:
        cluster.client.create(INGRESSES, manifest)
        cluster.wait_held(held)
        manifest["spec"]["rules"][0]["host"] = host
        manifest["spec"]["tls"][0]["hosts"] = [host]
        cluster.client.update(INGRESSES, replaced(cluster.client.get(INGRESSES, namespace, "shop"), manifest))
        cluster.until(
            lambda: cluster.client.get(CERTIFICATES, namespace, "shop-tls")["spec"]["dnsNames"] == [host],
            what="it is told",
        )

    cluster.wait_all_ready(namespace, ["shop-tls"])
    assert cluster.leaf(namespace, "shop-tls").dns_names == (host,)
    cluster.assert_no_trace(namespace, host)
    assert users_own(cluster.client.get(INGRESSES, namespace, "shop")) == users_own(manifest)


def test_an_ingress_that_is_deleted_in_mid_challenge_is_named_by_the_certificate(cluster, namespace):
    with cluster.hold(namespace, "shop-tls", "wait_for_propagation") as held:
        cluster.apply(an_ingress(namespace), namespace)
        cluster.wait_held(held)
        cluster.client.delete(INGRESSES, namespace, "shop")
        cluster.until(
            lambda: not cluster.is_served(f"shop.{namespace}.example.test"), what="nginx has heard of it"
        )

    def said():
        return cluster.conditions(CERTIFICATES, namespace, "shop-tls").get("Issuing", {}).get("message", "")

    named = f"the Ingress {namespace}/shop for the challenge of shop.{namespace}.example.test does not exist"
    cluster.until(lambda: named in said(), what=said)
    cluster.assert_no_trace(namespace)


def apply_bait(cluster, namespace, name, key, bait, type_="Opaque"):
    data = {key: base64.b64encode(bait).decode()} | ({"tls.key": ""} if type_ == "kubernetes.io/tls" else {})
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": type_, "data": data}
    cluster.apply(body, namespace)


def test_a_megabyte_of_crafted_pem_is_reported_and_costs_nobody_anything(cluster, namespace):
    """The attack of GHSA-r4pg-vg54-wxx4, in every place where certmill reads what a user has written."""
    before = cluster.cpu_seconds()
    apply_bait(cluster, namespace, "web-tls", "tls.crt", BAIT["certificates"], "kubernetes.io/tls")
    apply_bait(cluster, namespace, "account", "tls.key", BAIT["keys"])
    apply_bait(cluster, namespace, "tsig", "secret", BAIT["dashes"])
    solver = cluster.rfc2136()
    solver["dns01"]["rfc2136"]["tsigSecretSecretRef"] = {"name": "tsig", "key": "secret"}
    cluster.apply_issuer_of(namespace, "by-tsig", solver)
    cluster.apply_issuer_of(namespace, "by-account", cluster.rfc2136(), account="account")

    cluster.apply_both(namespace, "web")
    cluster.apply_certificate(
        namespace, "by-tsig", f"tsig.{namespace}.example.test", issuerRef={"name": "by-tsig"}
    )
    cluster.apply_both(namespace, "other")
    cluster.wait_all_ready(namespace, ["web", "other"])

    def issuer_says():
        return cluster.conditions(ISSUERS, namespace, "by-account").get("Ready", {}).get("message", "")

    def certificate_says():
        return cluster.conditions(CERTIFICATES, namespace, "by-tsig").get("Issuing", {}).get("message", "")

    issuers = cluster.until(
        lambda: "the account key is larger than" in (said := issuer_says()) and said, what=issuer_says
    )
    named = f"the Secret {namespace}/tsig with the TSIG secret"
    certificates = cluster.until(
        lambda: named in (said := certificate_says()) and said, what=certificate_says
    )
    assert "-----BEGIN" not in issuers + certificates
    assert cluster.cpu_seconds() - before < 60, "what is quadratic in it takes many minutes"
    assert cluster.condition(CLUSTER_ISSUERS, "", "prod-issuer", "Ready") == "True"
