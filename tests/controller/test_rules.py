"""Rules of Certificates and their Secrets that hold between several writers of one API server: a whole
installation, issuing by DNS-01."""

from __future__ import annotations

import base64
import time

import pytest

from certmill.crypto import keys
from certmill.home.kubernetes.secrets import CERT_MANAGER
from certmill.kube.objects import meta_of, rfc3339
from certmill.kube.resources import CERTIFICATES, INGRESSES, SECRETS
from tests.support.builders import ECDSA, a_chain
from tests.support.cluster import OTHER
from tests.support.kube_lab import KubeLab

CONFLICT = (
    "If this message is not transient, you might have two conflicting Certificates pointing to the same "
    "secret."
)


@pytest.fixture(scope="module")
def lab(empty_kube, tmp_path_factory):
    with KubeLab(directory=tmp_path_factory.mktemp("cluster"), kube=empty_kube) as lab:
        lab.apply_issuer(lab.rfc2136())
        yield lab


def status_of(lab, namespace, name):
    return lab.client.get(CERTIFICATES, namespace, name).get("status", {})


def merge_status(lab, namespace, name, **fields):
    """What somebody else writes through the status subresource."""
    lab.client.merge(CERTIFICATES, namespace, name, {"status": fields}, subresource="status")


def apply_as_cert_manager(lab, namespace, name, host):
    """A Secret as cert-manager's issuing controller applies it: a pair, our own label, the eight annotations.
    Returns the leaf's serial."""
    key = keys.generate(ECDSA)
    pem = a_chain(key, dns_names=(host,), not_before=time.time() - 3600)
    found = {"alt-names": host, "certificate-name": name, "common-name": "", "ip-sans": "", "uri-sans": ""}
    found |= {"issuer-name": "prod-issuer", "issuer-kind": "ClusterIssuer", "issuer-group": "cert-manager.io"}
    annotations = {f"cert-manager.io/{key}": value for key, value in found.items()}
    labels = {"controller.cert-manager.io/fao": "true", "team": "tea"}
    body = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls"}
    body["metadata"] = {
        "name": f"{name}-tls",
        "namespace": namespace,
        "labels": labels,
        "annotations": annotations,
    }
    body["data"] = {"tls.crt": base64.b64encode(pem).decode(), "tls.key": base64.b64encode(key).decode()}
    lab.client.apply(SECRETS, body, manager=CERT_MANAGER)
    return lab.leaf(namespace, f"{name}-tls").serial


def test_of_two_certificates_with_one_secret_the_older_is_issued_and_the_other_waits(lab, namespace):
    hosts = {name: f"{name}.{namespace}.example.test" for name in ("older", "younger")}
    before = lab.orders()
    for name, host in hosts.items():
        lab.apply_certificate(namespace, name, host, secretName="one-tls")

    assert lab.wait_ready(namespace, "older").dns_names == (hosts["older"],)

    def waits():
        found = lab.conditions(CERTIFICATES, namespace, "younger")
        return (
            found.get("Ready", {}).get("reason") == "IncorrectCertificate"
            and "Issuing" not in found
            and found["Ready"]
        )

    ready = lab.until(waits, what=lambda: str(lab.conditions(CERTIFICATES, namespace, "younger")))
    assert ready["status"] == "False"
    assert ready["message"].endswith(CONFLICT)
    assert lab.orders() == before + 1

    lab.client.delete(CERTIFICATES, namespace, "older")

    assert lab.wait_ready(namespace, "younger").dns_names == (hosts["younger"],)
    annotations = lab.client.get(SECRETS, namespace, "one-tls")["metadata"]["annotations"]
    assert annotations["cert-manager.io/certificate-name"] == "younger"
    assert lab.orders() == before + 2


def test_the_back_off_follows_the_status_no_matter_who_writes_it(lab, namespace):
    elsewhere = f"{namespace}-elsewhere"
    lab.apply_issuer({**lab.rfc2136(), "selector": {"dnsZones": ["elsewhere.test"]}}, name=elsewhere)
    lab.apply_certificate(
        namespace, "web", f"{namespace}.example.test", issuerRef={"name": elsewhere, "kind": "ClusterIssuer"}
    )
    lab.until(lambda: status_of(lab, namespace, "web").get("failedIssuanceAttempts") == 1, what="it fails")

    merge_status(lab, namespace, "web", lastFailureTime=rfc3339(time.time() - 2 * 3600))
    lab.until(
        lambda: status_of(lab, namespace, "web").get("failedIssuanceAttempts") == 2,
        what="aged, the next try comes",
    )

    merge_status(lab, namespace, "web", lastFailureTime=None, failedIssuanceAttempts=None)

    def tried_once():
        status = status_of(lab, namespace, "web")
        return status.get("failedIssuanceAttempts") == 1 and status

    status = lab.until(tried_once, what="cleared, the first try comes")
    issuing = next(one for one in status["conditions"] if one["type"] == "Issuing")
    assert (issuing["status"], issuing["reason"]) == ("False", "Failed")
    assert issuing["message"].startswith(
        "The certificate request has failed to complete and will be retried: no solver of"
    )


def test_a_temporary_certificate_is_in_the_secret_until_the_real_one_is_there(lab, namespace):
    asked = {"cert-manager.io/issue-temporary-certificate": "true"}
    host = f"{namespace}.example.test"
    lab.apply_certificate(
        namespace, "web", host, annotations=asked, issuerRef={"name": "nobody", "kind": "ClusterIssuer"}
    )

    secret = lab.until(
        lambda: lab.client.get(SECRETS, namespace, "web-tls"), what="the temporary certificate"
    )
    annotations = {name.removeprefix("cert-manager.io/") for name in secret["metadata"]["annotations"]}
    assert annotations == {"alt-names", "certificate-name", "common-name", "ip-sans", "uri-sans"}
    assert lab.leaf(namespace, "web-tls").dns_names == (host,)
    lab.until(
        lambda: lab.condition(CERTIFICATES, namespace, "web", "Ready") == "True",
        what="Ready with a temporary certificate",
    )

    lab.apply_certificate(namespace, "web", host, annotations=asked)

    lab.until(
        lambda: (
            "cert-manager.io/issuer-name"
            in lab.client.get(SECRETS, namespace, "web-tls")["metadata"]["annotations"]
        ),
        what=lambda: f"the real one: {lab.client.get(CERTIFICATES, namespace, 'web')}",
    )
    # A worker that sees the temporary pair before the run has begun may begin it, for the other reason.
    reasons = {
        f"Issuing certificate as Secret {why}" for why in ("does not exist", "holds a temporary certificate")
    }

    def told():
        messages = {message for *_, message in lab.events(namespace, "web")}
        return "Issued temporary certificate" in messages and messages & reasons

    lab.until(told, what=lambda: str(lab.events(namespace, "web")))


def test_a_secret_of_cert_manager_is_adopted_without_an_order_and_renewed_in_place(lab, namespace):
    host = f"{namespace}.example.test"
    serial, before = apply_as_cert_manager(lab, namespace, "web", host), lab.orders()
    uid = meta_of(lab.client.get(SECRETS, namespace, "web-tls")).uid

    lab.apply_certificate(namespace, "web", host)
    assert lab.wait_ready(namespace, "web").serial == serial
    assert lab.orders() == before

    asked = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "",
        "lastTransitionTime": rfc3339(time.time()),
    }
    merge_status(lab, namespace, "web", conditions=[*status_of(lab, namespace, "web")["conditions"], asked])
    lab.until(lambda: lab.leaf(namespace, "web-tls").serial != serial, what="it is renewed")
    lab.wait_ready(namespace, "web")

    secret = lab.client.get(SECRETS, namespace, "web-tls")
    assert (meta_of(secret).uid, lab.orders()) == (uid, before + 1)
    assert secret["metadata"]["labels"] == {"controller.cert-manager.io/fao": "true"}, (
        "the template of this Certificate has no other"
    )


def test_what_leaves_the_template_leaves_the_secret_and_others_labels_stay(lab, namespace):
    lab.apply_certificate(
        namespace,
        "web",
        f"{namespace}.example.test",
        secretTemplate={"labels": {"team": "tea"}, "annotations": {"a": "b"}},
    )
    leaf, before = lab.wait_ready(namespace, "web"), lab.orders()
    theirs = {
        "name": "web-tls",
        "namespace": namespace,
        "labels": {"theirs": "x"},
        "annotations": {"theirs": "y"},
    }
    lab.client.apply(
        SECRETS,
        {"apiVersion": "v1", "kind": "Secret", "metadata": theirs, "data": {"more": "eA=="}},
        manager=OTHER,
    )

    lab.apply_certificate(
        namespace, "web", f"{namespace}.example.test", secretTemplate={"labels": {"area": "shop"}}
    )

    def labels():
        return lab.client.get(SECRETS, namespace, "web-tls")["metadata"]["labels"]

    lab.until(
        lambda: labels() == {"controller.cert-manager.io/fao": "true", "area": "shop", "theirs": "x"},
        what=lambda: str(labels()),
    )
    secret = lab.client.get(SECRETS, namespace, "web-tls")
    assert "a" not in secret["metadata"]["annotations"]
    assert secret["metadata"]["annotations"]["theirs"] == "y"
    assert set(secret["data"]) == {"tls.crt", "tls.key", "more"}
    assert (lab.leaf(namespace, "web-tls").serial, lab.orders()) == (leaf.serial, before)

    lab.client.delete(CERTIFICATES, namespace, "web")
    lab.until(lambda: lab.runtime.ports.records.read(f"{namespace}/web") is None, what="it is forgotten")
    assert meta_of(lab.client.get(SECRETS, namespace, "web-tls")).uid == meta_of(secret).uid
    assert "ownerReferences" not in secret["metadata"]


def test_a_secret_that_was_there_keeps_its_type(lab, namespace):
    lab.apply_secret(namespace, "web-tls", {"mine": "x"})

    lab.apply_certificate(namespace, "web", f"{namespace}.example.test")
    lab.wait_ready(namespace, "web")

    secret = lab.client.get(SECRETS, namespace, "web-tls")
    assert secret["type"] == "Opaque"
    assert set(secret["data"]) == {"tls.crt", "tls.key", "mine"}


def test_an_ingress_certificate_deleted_by_hand_returns_and_adopts_its_secret(lab, namespace):
    host = f"{namespace}.example.test"
    metadata = {"name": "cafe", "annotations": {"cert-manager.io/cluster-issuer": "prod-issuer"}}
    spec = {"tls": [{"hosts": [host], "secretName": "cafe-tls"}], "rules": [{"host": host}]}
    lab.apply(
        {"apiVersion": INGRESSES.api_version, "kind": "Ingress", "metadata": metadata, "spec": spec},
        namespace,
    )
    first, before = lab.wait_ready(namespace, "cafe-tls"), lab.orders()
    uid = meta_of(lab.client.get(CERTIFICATES, namespace, "cafe-tls")).uid

    lab.client.delete(CERTIFICATES, namespace, "cafe-tls")

    lab.until(
        lambda: (found := lab.client.get(CERTIFICATES, namespace, "cafe-tls")) and meta_of(found).uid != uid,
        what="it is back",
    )
    assert lab.wait_ready(namespace, "cafe-tls").serial == first.serial
    assert lab.orders() == before
