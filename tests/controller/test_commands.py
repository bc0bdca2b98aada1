"""The tutorial as its reader types it: the real kubectl, and cert-manager's own cmctl, which know nothing of
certmill."""

from __future__ import annotations

import re

import pytest
import yaml

from certmill.kube.resources import CERTIFICATES
from compose.servers import ServerFailed
from compose.servers.cluster.kubectl import cmctl, kubectl
from tests.controller.cafe import HTTP01_ISSUER, INGRESS, VIRTUAL_SERVER, manifests
from tests.support.kube_lab import KubeLab
from tests.support.virtual_servers import serve_virtual_servers

AGE = r"\d+[smh]\w*"
WAITS = "--timeout=110s"


@pytest.fixture(scope="module")
def lab(empty_kube, kube_commands, tmp_path_factory):
    serve_virtual_servers(empty_kube)
    with KubeLab(directory=tmp_path_factory.mktemp("cluster"), kube=empty_kube) as lab:
        for manifest in manifests(HTTP01_ISSUER, lab):
            kubectl(lab.kube.kubeconfig(), "apply", "-f", "-", stdin=yaml.safe_dump(manifest))
        yield lab


@pytest.fixture
def typed(lab, namespace):
    """kubectl in the test's namespace."""
    return lambda *arguments, **options: kubectl(
        lab.kube.kubeconfig(namespace=namespace), *arguments, **options
    )


@pytest.fixture
def typed_cmctl(lab, namespace):
    """cmctl in the test's namespace."""
    return lambda *arguments: cmctl(lab.kube.kubeconfig(namespace=namespace), *arguments)


def rows(table):
    """The cells of what kubectl shows, its header too."""
    return [tuple(re.split(r"\s{2,}", line.strip())) for line in table.splitlines()]


def apply_cafe(lab, typed, file, host):
    """The tutorial's Ingress or VirtualServer; what kubectl says."""
    (manifest,) = manifests(file, lab, host=host)
    return typed("apply", "-f", "-", stdin=yaml.safe_dump(manifest))


def wait_for_cafe(typed):
    """As its reader may wait, who has no certificate yet to wait for. With a temporary one it is Ready too,
    as in cert-manager."""
    typed("wait", "--for=create", "certificate/cafe-secret", WAITS)
    typed("wait", "--for=jsonpath={.status.revision}", "certificate/cafe-secret", WAITS)
    return typed("wait", "--for=condition=Ready", "certificate/cafe-secret", WAITS)


def test_the_tutorial_typed_with_an_ingress(lab, namespace, typed):
    host = f"{namespace}.example.test"
    typed("wait", "--for=condition=Ready", "clusterissuer/prod-issuer", WAITS)
    header, issuer = rows(typed("get", "clusterissuer"))
    assert header == ("NAME", "READY", "AGE")
    assert issuer[:2] == ("prod-issuer", "True")
    assert re.fullmatch(AGE, issuer[2])

    assert apply_cafe(lab, typed, INGRESS, host) == "ingress.networking.k8s.io/cafe-ingress created\n"
    assert wait_for_cafe(typed) == "certificate.cert-manager.io/cafe-secret condition met\n"

    header, certificate = rows(typed("get", "certificates"))
    assert header == ("NAME", "READY", "SECRET", "AGE")
    assert certificate[:3] == ("cafe-secret", "True", "cafe-secret")
    assert re.fullmatch(AGE, certificate[3])
    assert rows(typed("get", "cert"))[1][:3] == certificate[:3]
    assert "certificate.cert-manager.io/cafe-secret" in typed("get", "cert-manager", "-o", "name").split()
    header, wide = rows(typed("get", "certificate", "-o", "wide"))
    assert header == ("NAME", "READY", "SECRET", "ISSUER", "STATUS", "EXPIRATION", "AGE")
    assert wide[:5] == (
        "cafe-secret",
        "True",
        "cafe-secret",
        "prod-issuer",
        "Certificate is up to date and has not expired",
    )
    assert wide[5].startswith("20")


def test_the_secret_is_described_as_in_the_tutorial(lab, namespace, typed):
    host = f"{namespace}.example.test"
    apply_cafe(lab, typed, VIRTUAL_SERVER, host)
    wait_for_cafe(typed)

    told = typed("describe", "secret", "cafe-secret").splitlines()
    begins = told.index(f"Annotations:  cert-manager.io/alt-names: {host}")
    assert [line.strip() for line in told[begins + 1 : begins + 8]] == [
        "cert-manager.io/certificate-name: cafe-secret",
        f"cert-manager.io/common-name: {lab.leaf(namespace, 'cafe-secret').common_name}".strip(),
        "cert-manager.io/ip-sans:",
        "cert-manager.io/issuer-group:",
        "cert-manager.io/issuer-kind: ClusterIssuer",
        "cert-manager.io/issuer-name: prod-issuer",
        "cert-manager.io/uri-sans:",
    ]
    after = "\n".join(told[begins + 8 :])
    assert re.fullmatch(
        r"\nType:  kubernetes.io/tls\n\nData\n====\ntls.crt:  \d+ bytes\ntls.key:  \d+ bytes", after
    )


def test_a_certificate_and_its_issuer_are_described_with_conditions_and_events(lab, namespace, typed):
    apply_cafe(lab, typed, INGRESS, f"{namespace}.example.test")
    wait_for_cafe(typed)

    told = typed("describe", "certificate", "cafe-secret")
    assert re.search(
        r"Conditions:\n.*Message: +Certificate is up to date and has not expired\n", told, re.DOTALL
    )
    assert re.search(r"Not After: +20\S+\n.*Renewal Time: +20\S+\n.*Revision: +1\n", told, re.DOTALL)
    events = [line.split()[:2] for line in told.partition("Events:")[2].splitlines()[3:]]
    assert ["Normal", "Issuing"] in events
    assert ["Normal", "Requested"] in events
    assert re.search(r"Reason: +ACMEAccountRegistered\n", typed("describe", "clusterissuer", "prod-issuer"))
    assert "CreateCertificate" in typed("describe", "ingress", "cafe-ingress")


def issued(lab, namespace, typed, *names, labels=""):
    """Certificates, Ready."""
    for name in names:
        lab.apply_certificate(namespace, name, f"{name}.{namespace}.example.test")
        if labels:
            typed("label", "certificate", name, labels)
    for name in names:
        typed("wait", "--for=condition=Ready", f"certificate/{name}", WAITS)


def revision(lab, namespace, name):
    """Of a Certificate."""
    return lab.client.get(CERTIFICATES, namespace, name)["status"].get("revision")


@pytest.mark.parametrize("asked", [("web",), ("--selector", "app=shop"), ("--all",)], ids=" ".join)
def test_cmctl_renews_by_name_by_label_and_all_and_each_is_one_run(lab, namespace, typed, typed_cmctl, asked):
    issued(lab, namespace, typed, "web", labels="app=shop")
    first = lab.leaf(namespace, "web-tls").serial

    assert typed_cmctl("renew", *asked) == f"Manually triggered issuance of Certificate {namespace}/web\n"

    lab.until(lambda: revision(lab, namespace, "web") == 2, what="the next revision")
    assert lab.wait_ready(namespace, "web").serial != first
    assert revision(lab, namespace, "web") == 2


def test_cmctl_reports_the_status_of_a_certificate_with_its_issuer_secret_and_events(
    lab, namespace, typed, typed_cmctl
):
    issued(lab, namespace, typed, "web")

    told = typed_cmctl("status", "certificate", "web")

    for said in (
        f"Name: web\nNamespace: {namespace}\nCreated at: 20",
        "Conditions:\n  Ready: True, Reason: Ready, Message: Certificate is up to date and has not expired\n",
        f"DNS Names:\n- web.{namespace}.example.test\n",
        (
            "Issuer:\n  Name: prod-issuer\n  Kind: ClusterIssuer\n  Conditions:\n    Ready: True, Reason: "
            "ACMEAccountRegistered, Message: "
        ),
        "Secret:\n  Name: web-tls\n",
        "Renewal Time: 20",
    ):
        assert said in told
    (serial,) = re.findall(r"Serial Number: (\w+)\n", told)
    assert int(serial, 16) == int(lab.leaf(namespace, "web-tls").serial, 16)
    assert re.search(
        r"Events:\n +Type +Reason .*\n(.*\n)* +Normal +Issuing .* The certificate"
        r" has been successfully issued\n",
        told,
    )
    assert "\nerror when finding CertificateRequest: " in told  # the only thing that there is none of
    assert told.count("rror") == 2, "both in that line"


def test_cmctl_inspects_the_secret(lab, namespace, typed, typed_cmctl):
    issued(lab, namespace, typed, "web")

    told = typed_cmctl("inspect", "secret", "web-tls")

    assert f"DNS Names: \n\t\t- web.{namespace}.example.test" in told
    assert re.search(r"Public Key Algorithm:\s+ECDSA\n", told)


def test_a_bad_manifest_is_refused_by_kubectl_and_names_the_field(lab, namespace, typed):
    spec = {
        "secretName": "web-tls",
        "dnsNames": ["a.example.test"],
        "issuerRef": {"name": "prod-issuer"},
        "renewBeforePercentage": 100,
    }
    manifest = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "web"},
        "spec": spec,
    }

    with pytest.raises(
        ServerFailed, match=r'The Certificate "web" is invalid: .*spec\.renewBeforePercentage'
    ):
        typed("apply", "-f", "-", stdin=yaml.safe_dump(manifest))


def test_a_deleted_ingress_certificate_returns_with_its_pair_and_others_annotations(lab, namespace, typed):
    apply_cafe(lab, typed, INGRESS, f"{namespace}.example.test")
    wait_for_cafe(typed)
    serial = lab.leaf(namespace, "cafe-secret").serial
    typed("annotate", "secret", "cafe-secret", "example.com/note=mine")

    typed("delete", "certificate", "cafe-secret")
    wait_for_cafe(typed)

    assert lab.leaf(namespace, "cafe-secret").serial == serial
    assert (
        typed("get", "secret", "cafe-secret", "-o", r"jsonpath={.metadata.annotations.example\.com/note}")
        == "mine"
    )


def test_an_ingress_without_tls_loses_its_certificate_and_keeps_the_secret(lab, namespace, typed):
    apply_cafe(lab, typed, INGRESS, f"{namespace}.example.test")
    wait_for_cafe(typed)

    typed(
        "patch",
        "ingress",
        "cafe-ingress",
        "--type=json",
        "--patch",
        '[{"op": "remove", "path": "/spec/tls"}]',
    )
    typed("wait", "--for=delete", "certificate/cafe-secret", WAITS)

    assert rows(typed("get", "secret", "cafe-secret"))[1][:3] == ("cafe-secret", "kubernetes.io/tls", "2")
