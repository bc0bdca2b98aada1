"""The tutorial's manifests as printed, with nothing changed but server, caBundle, token and host; and what
its reader sees."""

from __future__ import annotations

import base64
import ssl
from contextlib import suppress

import pytest

from certmill.crypto import chain
from certmill.errors import Conflict
from certmill.kube.objects import instant_of
from certmill.kube.resources import CERTIFICATES, CLUSTER_ISSUERS, INGRESSES, SECRETS, VIRTUAL_SERVERS
from certmill.testing.cloudflare import FakeCloudflare, Permissions
from certmill.testing.nameserver import FakeNameserver
from compose.servers.cluster import nginx_ingress
from tests.controller.cafe import (
    CLOUDFLARE_ISSUER,
    HTTP01_ISSUER,
    INGRESS,
    VIRTUAL_SERVER,
    Customers,
    ask,
    manifests,
)
from tests.controller.nginx_ingress_lab import NginxIngressLab
from tests.support.kube_lab import TSIG_SECRET, KubeLab
from tests.support.virtual_servers import serve_virtual_servers

TOKEN = "right-token_0123456789012345678901234567"
CLOUDFLARE_ZONE = "cloudflare.test"
SHIM_REASONS = {"CreateCertificate", "UpdateCertificate", "DeleteCertificate", "BadConfig"}


class AlsoAtCloudflare:
    """A zone is at Cloudflare, all others at BIND."""

    cloudflare: FakeCloudflare

    def start_dns(self):
        def server_of(name):
            return self.cloudflare.dns_address if name.endswith(CLOUDFLARE_ZONE) else self.bind.address

        return self._stack.enter_context(FakeNameserver(forward_to=server_of)).address


class TutorialLab(AlsoAtCloudflare, KubeLab):
    """Behind the small ingress controller."""


class NginxTutorialLab(AlsoAtCloudflare, NginxIngressLab):
    """Behind NGINX's own."""


@pytest.fixture(scope="module")
def lab(empty_kube, tmp_path_factory):
    serve_virtual_servers(empty_kube)
    with FakeCloudflare(zones=(CLOUDFLARE_ZONE,), tokens={TOKEN: Permissions()}) as cloudflare:
        kind = NginxTutorialLab if nginx_ingress.is_wanted() else TutorialLab
        lab = kind(
            directory=tmp_path_factory.mktemp("cluster"),
            kube=empty_kube,
            settings={"cloudflare_api_url": cloudflare.url},
        )
        lab.cloudflare = cloudflare
        with lab:
            yield lab


def row(kube, resource, namespace, name):
    """An object's row in `kubectl get`, by the server's own columns; its age is left out."""
    accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
    table = kube.api.request("GET", resource.path(namespace, name), accept=accept).body
    columns = [column["name"] for column in table["columnDefinitions"] if column["priority"] == 0]
    (found,) = (dict(zip(columns, one["cells"], strict=False)) for one in table["rows"])
    assert found.pop("Age")
    return found


def apply_issuer(lab, file):
    """A ClusterIssuer of the tutorial, until `kubectl get clusterissuer` says what its reader waits for."""
    for manifest in manifests(file, lab, token=TOKEN):
        lab.apply(manifest, manifest["metadata"].get("namespace", ""))

    def is_ready():
        generation = lab.client.get(CLUSTER_ISSUERS, "", "prod-issuer")["metadata"]["generation"]
        return (
            lab.conditions(CLUSTER_ISSUERS, "", "prod-issuer").get("Ready", {}).get("observedGeneration")
            == generation
        )

    lab.until(is_ready, what="the issuer has been looked at")
    lab.until(
        lambda: (
            row(lab.kube, CLUSTER_ISSUERS, None, "prod-issuer") == {"Name": "prod-issuer", "Ready": "True"}
        ),
        what="READY True",
    )


def assert_all_is_as_the_tutorial_says(lab, namespace, host, *, group):
    """The Certificate's row and the Secret, byte for byte."""
    assert row(lab.kube, CERTIFICATES, namespace, "cafe-secret") == {
        "Name": "cafe-secret",
        "Ready": "True",
        "Secret": "cafe-secret",
    }
    secret = lab.client.get(SECRETS, namespace, "cafe-secret")
    certificate = base64.b64decode(secret["data"]["tls.crt"])
    leaf = chain.leaf(certificate)
    assert leaf.dns_names == (host,)
    assert secret["type"] == "kubernetes.io/tls"
    assert set(secret["data"]) == {"tls.crt", "tls.key"}
    assert base64.b64decode(secret["data"]["tls.key"]).startswith(b"-----BEGIN RSA PRIVATE KEY-----\n")
    assert certificate.count(b"-----BEGIN CERTIFICATE-----\n") == 2, "the leaf, then the intermediate"
    assert secret["metadata"]["annotations"] == {
        "cert-manager.io/alt-names": host,
        "cert-manager.io/certificate-name": "cafe-secret",
        "cert-manager.io/common-name": leaf.common_name,
        "cert-manager.io/ip-sans": "",
        "cert-manager.io/issuer-group": group,
        "cert-manager.io/issuer-kind": "ClusterIssuer",
        "cert-manager.io/issuer-name": "prod-issuer",
        "cert-manager.io/uri-sans": "",
    }
    assert secret["metadata"]["labels"] == {"controller.cert-manager.io/fao": "true"}
    assert "ownerReferences" not in secret["metadata"]


def paths_of_every_version(lab, namespace, first):
    """The paths of the Ingress after the first version as the API server has kept them, each time that they
    changed."""
    last = lab.client.get(INGRESSES, namespace, "cafe-ingress")["metadata"]["resourceVersion"]
    found = []
    for event in lab.client.watch(
        INGRESSES, namespace, resource_version=first["metadata"]["resourceVersion"], seconds=10
    ):
        paths = [path["path"] for rule in event.object["spec"]["rules"] for path in rule["http"]["paths"]]
        found += [paths] if paths not in found[-1:] else []
        if event.object["metadata"]["resourceVersion"] == last:
            break
    return found


def wait_until_served(lab, namespace, host):
    """Until a browser sees the certificate that is in the Secret."""
    stored = lab.leaf(namespace, "cafe-secret").serial

    def is_served():
        try:
            served = ask(lab, host, "/tea", tls=True).certificate
        except OSError:  # the handshake is rejected, or nginx has just reloaded
            return False
        return chain.leaf(ssl.DER_cert_to_PEM_cert(served).encode()).serial == stored

    lab.until(is_served, what="the new certificate is served")


def test_the_annotated_ingress_gets_its_certificate_by_edit_in_place_while_it_serves(lab, namespace):
    host = f"{namespace}.example.test"
    apply_issuer(lab, HTTP01_ISSUER)
    (manifest,) = manifests(INGRESS, lab, host=host)
    before = lab.apply(manifest, namespace)

    with Customers(lab, host) as customers:
        lab.wait_ready(namespace, "cafe-secret")
        lab.until(lambda: lab.traces(namespace) == [], what=lambda: lab.traces(namespace))
        wait_until_served(lab, namespace, host)

    assert customers.failures == set()
    assert customers.served > 20
    assert ask(lab, host, "/tea").location == f"https://{host}:{lab.tls_port}/tea"
    assert_all_is_as_the_tutorial_says(lab, namespace, host, group="cert-manager.io")
    after = lab.client.get(INGRESSES, namespace, "cafe-ingress")
    assert (
        after["spec"]
        == before["spec"]
        == manifest["spec"] | {"tls": [{"hosts": [host], "secretName": "cafe-secret"}]}
    )
    assert after["metadata"]["annotations"] == manifest["metadata"]["annotations"]
    during = paths_of_every_version(lab, namespace, before)
    ((challenge, *beside), at_the_end) = during
    assert challenge.startswith("/.well-known/acme-challenge/")
    assert beside == at_the_end == ["/tea", "/coffee"]
    assert ("Normal", "CreateCertificate", 'Successfully created Certificate "cafe-secret"') in lab.events(
        namespace, "cafe-ingress"
    )


def test_the_virtual_server_gets_its_certificate_by_a_solver_ingress_while_it_serves(lab, namespace):
    host = f"{namespace}.example.test"
    apply_issuer(lab, HTTP01_ISSUER)
    (manifest,) = manifests(VIRTUAL_SERVER, lab, host=host)
    lab.apply(manifest, namespace)

    with Customers(lab, host) as customers:
        lab.wait_ready(namespace, "cafe-secret")
        lab.until(lambda: lab.traces(namespace) == [], what=lambda: lab.traces(namespace))

    assert customers.failures == set()
    assert customers.served > 20
    wait_until_served(lab, namespace, host)
    assert_all_is_as_the_tutorial_says(lab, namespace, host, group="")
    assert lab.client.get(VIRTUAL_SERVERS, namespace, "cafe")["spec"] == manifest["spec"]


def test_a_virtual_server_that_redirects_to_https_uses_a_temporary_certificate(lab, namespace):
    host = f"{namespace}.example.test"
    apply_issuer(lab, HTTP01_ISSUER)
    (manifest,) = manifests(VIRTUAL_SERVER, lab, host=host)
    manifest["spec"]["tls"] |= {"redirect": {"enable": True}}
    manifest["spec"]["tls"]["cert-manager"] |= {"issue-temp-cert": True}
    lab.apply(manifest, namespace)

    lab.wait_ready(namespace, "cafe-secret")

    wait_until_served(lab, namespace, host)
    assert ask(lab, host, "/tea").status == 301


@pytest.mark.parametrize("maker", ["certmill", "nginx", "the user"])
def test_a_virtual_server_that_redirects_is_issued_whatever_made_its_certificate(lab, namespace, maker):
    """kubernetes-ingress #8469: while the Secret is missing, NGINX refuses the handshake to which it
    redirects the challenge."""
    host = f"{namespace}.example.test"
    apply_issuer(lab, HTTP01_ISSUER)
    (manifest,) = manifests(VIRTUAL_SERVER, lab, host=host)
    manifest["spec"]["tls"] |= {"redirect": {"enable": True}}
    if maker == "the user":
        del manifest["spec"]["tls"]["cert-manager"]
    if maker == "nginx":
        asked = manifest["spec"].pop("tls")
    uid = lab.apply(manifest, namespace)["metadata"]["uid"]
    if maker != "certmill":
        certificate = certificate_by_nginx(namespace, host, uid)
        if maker == "the user":
            del certificate["metadata"]["ownerReferences"]
        lab.apply(certificate, namespace)
    if maker == "nginx":
        lab.apply(manifest | {"spec": manifest["spec"] | {"tls": asked}}, namespace)

    lab.wait_ready(namespace, "cafe-secret")

    wait_until_served(lab, namespace, host)
    assert ask(lab, host, "/tea").status == 301
    secret = lab.client.get(SECRETS, namespace, "cafe-secret")
    assert secret["metadata"]["annotations"]["cert-manager.io/issuer-name"] == "prod-issuer"
    assert ("Normal", "Issuing", "Issued temporary certificate") in lab.events(namespace, "cafe-secret")
    created, ready = (moment(lab, namespace, of) for of in ("created", "ready"))
    print(f"READY after {ready - created:.0f} s ({maker})")


def moment(lab, namespace, of):
    """When the Certificate was created, or became Ready."""
    body = lab.client.get(CERTIFICATES, namespace, "cafe-secret")
    conditions = lab.conditions(CERTIFICATES, namespace, "cafe-secret")
    return instant_of(
        body["metadata"]["creationTimestamp"]
        if of == "created"
        else conditions["Ready"]["lastTransitionTime"]
    )


def test_a_virtual_server_that_nginx_does_not_serve_gets_its_certificate(lab, namespace):
    host = f"{namespace}.example.test"
    apply_issuer(lab, HTTP01_ISSUER)
    lab.ingress_controller.cert_manager = False
    try:
        lab.apply(*manifests(VIRTUAL_SERVER, lab, host=host), namespace)
        lab.wait_ready(namespace, "cafe-secret")
    finally:
        lab.ingress_controller.cert_manager = True

    assert_all_is_as_the_tutorial_says(lab, namespace, host, group="")


def test_where_nginx_has_made_the_certificate_nothing_is_made_and_nothing_changed(lab, namespace):
    host = f"{namespace}.example.test"
    apply_issuer(lab, HTTP01_ISSUER)
    (manifest,) = manifests(VIRTUAL_SERVER, lab, host=host)
    tls = manifest["spec"].pop("tls")
    uid = lab.apply(manifest, namespace)["metadata"]["uid"]
    lab.apply(certificate_by_nginx(namespace, host, uid), namespace)

    lab.apply(manifest | {"spec": manifest["spec"] | {"tls": tls}}, namespace)
    lab.wait_ready(namespace, "cafe-secret")

    certificate = lab.client.get(CERTIFICATES, namespace, "cafe-secret")
    assert certificate["metadata"]["generation"] == 1
    ours = [
        entry for entry in certificate["metadata"]["managedFields"] if entry["manager"].startswith("certmill")
    ]
    for entry in (
        entry for entry in ours if entry.get("subresource") != "status"
    ):  # what a status has no field for
        assert set(entry["fieldsV1"]) == {"f:metadata"}
        written = {name for name in entry["fieldsV1"]["f:metadata"]["f:annotations"] if name != "."}
        assert written <= {"f:certmill.io/history", "f:certmill.io/next-attempt"}
    assert {reason for _, reason, _ in lab.events(namespace, "cafe")}.isdisjoint(SHIM_REASONS)
    assert_all_is_as_the_tutorial_says(lab, namespace, host, group="")


def certificate_by_nginx(namespace, host, uid):
    """What NGINX itself creates for the tutorial's VirtualServer with -enable-cert-manager, as read from the
    API server."""
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {
            "name": "cafe-secret",
            "namespace": namespace,
            "ownerReferences": [
                {
                    "apiVersion": "k8s.nginx.org/v1",
                    "kind": "VirtualServer",
                    "name": "cafe",
                    "uid": uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "dnsNames": [host],
            "issuerRef": {"kind": "ClusterIssuer", "name": "prod-issuer"},
            "secretName": "cafe-secret",
            "usages": ["digital signature", "key encipherment"],
        },
    }


def test_the_ingress_gets_its_certificate_by_dns_01_at_cloudflare(lab, namespace):
    host = f"{namespace}.{CLOUDFLARE_ZONE}"
    apply_issuer(lab, CLOUDFLARE_ISSUER)
    lab.apply(*manifests(INGRESS, lab, host=host), namespace)

    lab.wait_ready(namespace, "cafe-secret")

    assert_all_is_as_the_tutorial_says(lab, namespace, host, group="cert-manager.io")
    lab.until(lambda: lab.cloudflare.records(f"_acme-challenge.{host}") == [], what="the TXT value is gone")
    assert [
        method for method, path in lab.cloudflare.requests if "dns_records" in path and method != "GET"
    ] == ["POST", "DELETE"]


def test_the_ingress_gets_its_certificate_by_dns_01_at_bind(lab, namespace):
    host = f"{namespace}.example.test"
    lab.apply_issuer(lab.rfc2136())
    lab.apply(*manifests(INGRESS, lab, host=host), namespace)

    lab.wait_ready(namespace, "cafe-secret")

    assert_all_is_as_the_tutorial_says(lab, namespace, host, group="cert-manager.io")
    lab.until(lambda: lab.bind.txt(f"_acme-challenge.{host}") == set(), what="the TXT value is gone")


def test_a_renewal_that_cmctl_asks_for_through_the_status_is_one_run(lab, namespace):
    lab.apply_issuer(lab.rfc2136())
    lab.apply_certificate(namespace, "web", f"{namespace}.example.test")
    first = lab.wait_ready(namespace, "web")
    asked = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
    }

    def trigger():  # the last step of the run may write in this moment: cmctl is called again then
        body = lab.client.get(CERTIFICATES, namespace, "web")
        body["status"]["conditions"].append(asked | {"lastTransitionTime": "2026-01-01T00:00:00Z"})
        with suppress(Conflict):
            return lab.client.update(CERTIFICATES, body, subresource="status") is not None
        return False

    lab.until(trigger, what="a status that is written over the one that was read")
    lab.until(lambda: lab.leaf(namespace, "web-tls").serial != first.serial, what="another certificate")
    lab.until(
        lambda: lab.client.get(CERTIFICATES, namespace, "web")["status"]["revision"] == 2, what="its revision"
    )
    second = lab.wait_ready(namespace, "web")

    assert lab.leaf(namespace, "web-tls").serial == second.serial


def edit_by_hand(lab, resource, namespace, name, patch):
    """What `kubectl edit` does."""
    path = f"{resource.path(namespace, name)}?fieldManager=kubectl-edit"
    assert (
        lab.kube.api.request("PATCH", path, patch, content_type="application/merge-patch+json").status == 200
    )


def test_a_deleted_secret_returns_and_an_edited_one_is_repaired_without_an_order(lab, namespace):
    lab.apply_issuer(lab.rfc2136())
    lab.apply_certificate(namespace, "web", f"{namespace}.example.test")
    lab.wait_ready(namespace, "web")
    before = lab.client.get(SECRETS, namespace, "web-tls")

    edit_by_hand(
        lab,
        SECRETS,
        namespace,
        "web-tls",
        {"metadata": {"annotations": {"cert-manager.io/alt-names": "wrong", "note": "mine"}}},
    )
    mended = lab.until(
        lambda: (
            (found := lab.client.get(SECRETS, namespace, "web-tls"))["metadata"]["annotations"][
                "cert-manager.io/alt-names"
            ]
            != "wrong"
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
    issuer = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "ClusterIssuer",
        "metadata": {"name": name},
        "spec": {"acme": lab.acme(solver)},
    }
    lab.apply(issuer)
    lab.until(
        lambda: lab.conditions(CLUSTER_ISSUERS, "", name).get("Ready", {}).get("reason") == "InvalidSolver",
        what="it says so",
    )
    lab.apply_certificate(
        namespace, "web", f"{namespace}.example.test", issuerRef={"name": name, "kind": "ClusterIssuer"}
    )

    def failed():
        issuing = lab.conditions(CERTIFICATES, namespace, "web").get("Issuing", {})
        return issuing.get("status") == "False" and f"cert-manager/{namespace}-tsig" in issuing["message"]

    lab.until(failed, what=lambda: str(lab.conditions(CERTIFICATES, namespace, "web")))
    lab.until(
        lambda: any(reason == "Failed" for _, reason, _ in lab.events(namespace, "web")), what="the event"
    )

    lab.apply_secret("cert-manager", f"{namespace}-tsig", {"secret": TSIG_SECRET})
    touched = issuer | {"metadata": {"name": name, "annotations": {"example.com/touched": "true"}}}
    lab.apply(touched)  # the controller would look by itself within half a minute
    assert lab.wait_ready(namespace, "web").dns_names == (f"{namespace}.example.test",)
    lab.until(lambda: lab.condition(CLUSTER_ISSUERS, "", name, "Ready") == "True", what="the issuer is ready")
