"""A cluster with cert-manager's own CRDs in place of ours, as somebody has who moves over: everything works,
and nothing is pruned."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from certmill.errors import InvalidManifest
from certmill.home.kubernetes.status import ATTEMPT_ANNOTATION, with_certificate_status, with_issuer_status
from certmill.kube.resources import CERTIFICATES, CLUSTER_ISSUERS, CUSTOM_RESOURCE_DEFINITIONS
from certmill.model.manifests.parse import parse_certificate, parse_issuer
from certmill.model.status import CertificateStatus, Condition, IssuerStatus
from compose import render
from compose.servers.cluster.helm import helm
from compose.servers.cluster.kubernetes import KubeApiServer
from compose.yaml_loader import load_documents
from tests.controller.crd_manifests import FULL_CERTIFICATE, FULL_ISSUER
from tests.support.cluster import make_namespace
from tests.support.kube_lab import KubeLab
from tests.support.manifest_bodies import DOCUMENTED, a_certificate_body, an_issuer_body

API = "/apis/cert-manager.io/v1"
CRDS = Path(__file__).parent / "cert_manager_crds.yaml"
NAMES = {"Certificate": "certificates", "Issuer": "issuers", "ClusterIssuer": "clusterissuers"}


def cert_managers_crds():
    """All three, as they are in a cluster."""
    certificates, issuers = load_documents(CRDS.read_text())
    cluster_issuers = copy.deepcopy(issuers)
    cluster_issuers["metadata"]["name"] = "clusterissuers.cert-manager.io"
    cluster_issuers["spec"] |= {"scope": "Cluster"}
    cluster_issuers["spec"]["names"] |= {
        "kind": "ClusterIssuer",
        "listKind": "ClusterIssuerList",
        "plural": "clusterissuers",
        "singular": "clusterissuer",
        "shortNames": ["ciss"],
    }
    return [certificates, issuers, cluster_issuers]


@pytest.fixture(scope="module")
def theirs(kube_programs, tmp_path_factory):
    """An API server on which cert-manager has been installed once."""
    directory = tmp_path_factory.mktemp("theirs")
    file = directory / "crds.yaml"
    file.write_text("\n---\n".join(json.dumps(crd) for crd in cert_managers_crds()))
    with KubeApiServer(directory=directory / "server") as server:
        server.api.install_crds([file])
        yield server


@pytest.fixture(scope="module")
def lab(theirs, tmp_path_factory):
    with KubeLab(directory=tmp_path_factory.mktemp("cluster"), kube=theirs) as lab:
        make_namespace(theirs, "shop")
        yield lab


def path_of(body, name=""):
    where = "" if body["kind"] == "ClusterIssuer" else "/namespaces/default"
    return f"{API}{where}/{NAMES[body['kind']]}{name and '/'}{name}"


def stored(server, body):
    """What the API server makes of a manifest, with the defaults of its CRD."""
    body = body | {"metadata": {"name": "example"}}
    answer = server.api.request("POST", f"{path_of(body)}?dryRun=All&fieldValidation=Strict", body)
    assert answer.is_ok, answer.message
    return answer.body


def value_of(body):
    """What certmill makes of it: its spec, or the path of the field it refuses."""
    bare = {**body, "metadata": {"name": "example"}}
    try:
        return (parse_certificate if body["kind"] == "Certificate" else parse_issuer)(
            bare, source="", default_namespace="default"
        )
    except InvalidManifest as error:
        return error.path


@pytest.mark.parametrize("body", [body for body, _ in DOCUMENTED.values()], ids=DOCUMENTED.keys())
def test_a_manifest_means_the_same_with_the_defaults_that_their_crds_write_into_it(theirs, body):
    assert value_of(stored(theirs, body)) == value_of(body)


def test_the_default_that_their_crd_writes_is_there():
    """Else the test above would show nothing."""
    _, issuers, _ = cert_managers_crds()
    (version,) = issuers["spec"]["versions"]
    acme = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["acme"]["properties"]

    assert acme["renewalInformationSource"]["default"] == "ARI"


@pytest.mark.parametrize("body", [FULL_CERTIFICATE, FULL_ISSUER], ids=["Certificate", "ClusterIssuer"])
def test_their_crds_know_every_field_that_ours_do(theirs, body):
    kept = stored(theirs, body)["spec"]

    assert kept == body["spec"]


CONDITIONS = tuple(
    Condition(type=type_, status=True, reason="Ready", message="words", last_transition=1.8e9)
    for type_ in ("Ready", "Issuing")
)
EVERY_STATUS = CertificateStatus(
    conditions=CONDITIONS,
    not_before=1.8e9,
    not_after=1.81e9,
    renewal_time=1.805e9,
    revision=3,
    last_failure_time=1.8e9,
    failed_issuance_attempts=2,
)
EVERY_ISSUER_STATUS = IssuerStatus(
    conditions=CONDITIONS[:1],
    uri="https://ca.example/acct/1",
    last_registered_email="ops@example.com",
    last_private_key_hash="x=",
)


@pytest.mark.parametrize(
    ("body", "with_status"),
    [
        (a_certificate_body(), lambda body: with_certificate_status(body, EVERY_STATUS)),
        (an_issuer_body(), lambda body: with_issuer_status(body, EVERY_ISSUER_STATUS)),
    ],
    ids=["Certificate", "ClusterIssuer"],
)
def test_every_field_of_a_status_that_certmill_writes_survives_their_schema(theirs, body, with_status):
    body = body | {"metadata": {"name": "whole-status", "annotations": {ATTEMPT_ANNOTATION: "{}"}}}
    created = theirs.api.request("POST", path_of(body), body).body
    written = with_status(created)

    answer = theirs.api.request(
        "PUT", f"{path_of(body, 'whole-status')}/status?fieldValidation=Strict", written
    )

    assert answer.is_ok, answer.message
    assert answer.body["status"] == written["status"]
    assert answer.body["metadata"]["annotations"] == {ATTEMPT_ANNOTATION: "{}"}
    theirs.api.request("DELETE", path_of(body, "whole-status"))


def row(server, resource, namespace, name):
    """`kubectl get -o wide` of one object."""
    table = server.api.request(
        "GET", resource.path(namespace, name), accept="application/json;as=Table;g=meta.k8s.io;v=v1"
    ).body
    return dict(
        zip([column["name"] for column in table["columnDefinitions"]], table["rows"][0]["cells"], strict=True)
    )


def test_the_tutorials_issuer_and_certificate_become_ready_and_are_renewed_by_cmctl(lab, theirs):
    lab.apply_issuer(lab.rfc2136())
    lab.apply_certificate("shop", "cafe", "cafe.example.test")
    first = lab.wait_ready("shop", "cafe")

    issuer = lab.client.get(CLUSTER_ISSUERS, "", "prod-issuer")
    assert issuer["spec"]["acme"]["renewalInformationSource"] == "ARI"  # their default, which nobody wrote
    assert set(issuer["status"]["acme"]) == {"uri", "lastRegisteredEmail", "lastPrivateKeyHash"}
    shown = row(theirs, CLUSTER_ISSUERS, None, "prod-issuer")
    assert (shown["Ready"], shown["Status"]) == (
        "True",
        "The ACME account was registered with the ACME server",
    )
    shown = row(theirs, CERTIFICATES, "shop", "cafe")
    assert all(shown.values())
    assert (shown["Ready"], shown["Secret"], shown["Issuer"]) == ("True", "cafe-tls", "prod-issuer")
    assert shown["Status"] == "Certificate is up to date and has not expired"

    body = lab.client.get(CERTIFICATES, "shop", "cafe")
    asked = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
    }
    body["status"]["conditions"].append(asked | {"lastTransitionTime": "2026-01-01T00:00:00Z"})
    lab.client.update(CERTIFICATES, body, subresource="status")
    lab.until(lambda: lab.leaf("shop", "cafe-tls").serial != first.serial, what="another certificate")
    lab.wait_ready("shop", "cafe")
    assert lab.client.get(CERTIFICATES, "shop", "cafe")["status"]["revision"] == 2


def test_a_failure_is_kept_whole_in_status_and_annotation(lab):
    """Their schema has no field for when the next attempt comes; the annotation has."""
    solver = lab.rfc2136()
    solver["selector"] = {"dnsNames": ["other.example.test"]}
    lab.apply_issuer(solver, name="for-another")
    lab.apply_certificate(
        "shop", "failing", "failing.example.test", issuerRef={"name": "for-another", "kind": "ClusterIssuer"}
    )

    lab.until(lambda: lab.condition(CERTIFICATES, "shop", "failing", "Issuing") == "False", what="it fails")
    lab.until(
        lambda: (
            ATTEMPT_ANNOTATION
            in lab.client.get(CERTIFICATES, "shop", "failing")["metadata"].get("annotations", {})
        )
    )
    status = lab.client.get(CERTIFICATES, "shop", "failing")["status"]
    assert (status["failedIssuanceAttempts"], bool(status["lastFailureTime"])) == (1, True)


def test_what_only_the_webhook_refuses_is_reported_on_the_object(lab):
    """Their schema alone takes it: without their webhook it is for certmill to say so."""
    lab.apply_certificate("shop", "short", "short.example.test", duration="5m")

    def ready():
        return lab.conditions(CERTIFICATES, "shop", "short").get("Ready", {})

    told = lab.until(
        lambda: "spec.duration: must be at least 1h" in (found := ready()).get("message", "") and found,
        what=lambda: str(ready()),
    )
    assert told["status"] == "False"


def test_a_server_that_is_not_a_url_is_invalid_url_and_an_event(lab):
    """Our own CRDs refuse it; theirs leave it to the controller."""
    spec = {"acme": lab.acme(lab.rfc2136(), server="not a url")}
    lab.apply(
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "ClusterIssuer",
            "metadata": {"name": "no-url"},
            "spec": spec,
        }
    )

    lab.until(
        lambda: lab.conditions(CLUSTER_ISSUERS, "", "no-url").get("Ready", {}).get("reason") == "InvalidURL",
        what="it says so",
    )

    def told():
        return [
            (type_, reason)
            for type_, reason, message in lab.events("default", "no-url")
            if "spec.acme.server" in message
        ]

    assert lab.until(told, what=lambda: str(lab.events("default", "no-url"))) == [("Warning", "InvalidURL")]


def test_helm_leaves_their_crds_as_they_are(theirs, helm_program):
    def versions():
        found = theirs.api.request("GET", CUSTOM_RESOURCE_DEFINITIONS.path(None)).body["items"]
        return {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in found}

    make_namespace(theirs, "install")
    before = versions()

    helm("install", "mill", render.CHART, "--namespace", "install", kubeconfig=theirs.kubeconfig())
    helm("uninstall", "mill", "--namespace", "install", kubeconfig=theirs.kubeconfig())

    assert versions() == before
