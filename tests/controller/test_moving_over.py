"""A cluster in which cert-manager has worked is taken over, and given back: nothing is issued anew, and what
is right is not written to."""

from __future__ import annotations

import base64
import hashlib
import json
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from certmill.acme.client import AcmeClient
from certmill.acme.directories import DirectoryCache
from certmill.acme.jws import AccountKey
from certmill.acme.nonces import NoncePools
from certmill.contract import STEP_NAMES
from certmill.crypto import keys
from certmill.home.kubernetes.secrets import CERT_MANAGER as FIELD_MANAGER_OF_CERT_MANAGER
from certmill.http.transport import Connections, TlsTrust
from certmill.kube.objects import instant_of, rfc3339
from certmill.kube.resources import CERTIFICATES, CLUSTER_ISSUERS, INGRESSES, SECRETS
from certmill.model.certificate import PrivateKeySpec
from certmill.model.names import CertificateId
from certmill.model.trigger import ReconcileOptions
from certmill.runs.outcomes import Wait
from certmill.runtime import Runtime
from certmill.settings import Settings
from compose.servers.bind import Bind
from compose.servers.pebble import Pebble
from tests.controller.watching import watching
from tests.support.builders import DAY, a_chain
from tests.support.cluster import client_of, make_namespace
from tests.support.kube_lab import TSIG_SECRET
from tests.support.waiting import until

CERT_MANAGER = "cert-manager.io/"
READY = {
    "type": "Ready",
    "status": "True",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
    "observedGeneration": 1,
}
REGISTERED = {
    "reason": "ACMEAccountRegistered",
    "message": "The ACME account was registered with the ACME server",
}
UP_TO_DATE = {"reason": "Ready", "message": "Certificate is up to date and has not expired"}
TEMPLATE = {"labels": {"team": "edge"}, "annotations": {"example.com/note": "of the template"}}


def base64_of(content):
    return base64.b64encode(content).decode()


def cert_managers_hash(key):
    """pkg/acme/accounts/registry.go, IsKeyCheckSumCached."""
    der = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return base64_of(hashlib.sha256(der).digest())


class Cluster:
    """What cert-manager has left: a registered ClusterIssuer, a Certificate, an annotated Ingress with its
    own, and their Secrets."""

    def __init__(self, client, namespace, pebble, bind):
        self.client, self.namespace, self.pebble, self.bind = client, namespace, pebble, bind
        self.issuer = f"letsencrypt-{namespace}"
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._register()
        self._certificate(
            "web", {"secretTemplate": TEMPLATE, "issuerRef": {"name": self.issuer, "kind": "ClusterIssuer"}}
        )
        self._ingress()
        self.written = [
            (CLUSTER_ISSUERS, "", self.issuer),
            (SECRETS, "cert-manager", f"{namespace}-account-key"),
            (INGRESSES, namespace, "shop"),
            *(
                (resource, namespace, name)
                for resource, name in ((CERTIFICATES, "web"), (CERTIFICATES, "shop-tls"))
            ),
            *((SECRETS, namespace, name) for name in ("web-tls", "shop-tls")),
        ]

    def versions(self):
        return {place: self.client.get(*place)["metadata"]["resourceVersion"] for place in self.written}

    def _register(self):
        form = serialization.PrivateFormat.TraditionalOpenSSL
        pem = self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        acme = AcmeClient(
            server=self.pebble.directory_url,
            key=AccountKey.from_pem(pem),
            account_uri=None,
            trust=TlsTrust(ca_bundle=self.pebble.ca_bundle),
            nonces=NoncePools().pool(self.pebble.directory_url),
            directories=DirectoryCache(),
            connections=Connections(),
            timeout_seconds=10,
        )
        self.uri = acme.new_account(email="ops@example.test").url
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{self.namespace}-account-key", "namespace": "cert-manager"},
        }
        self.client.apply(SECRETS, {**secret, "data": {"tls.key": base64_of(pem)}}, manager="controller")
        tsig = {"name": f"{self.namespace}-tsig", "key": "secret"}
        self.client.apply(
            SECRETS,
            {
                **secret,
                "metadata": {"name": tsig["name"], "namespace": "cert-manager"},
                "stringData": {"secret": TSIG_SECRET},
            },
        )
        rfc2136 = {
            "nameserver": self.bind.address,
            "tsigKeyName": "certmill",
            "tsigAlgorithm": "HMACSHA256",
            "tsigSecretSecretRef": tsig,
        }
        acme = {
            "email": "ops@example.test",
            "server": self.pebble.directory_url,
            "caBundle": base64_of(self.pebble.ca_bundle),
            "privateKeySecretRef": {"name": f"{self.namespace}-account-key"},
            "solvers": [{"dns01": {"rfc2136": rfc2136}}],
        }
        body = {
            "apiVersion": "cert-manager.io/v1",
            "kind": "ClusterIssuer",
            "metadata": {"name": self.issuer},
            "spec": {"acme": acme},
        }
        made = self.client.apply(CLUSTER_ISSUERS, body, manager="kubectl")
        status = {
            "uri": self.uri,
            "lastRegisteredEmail": "ops@example.test",
            "lastPrivateKeyHash": cert_managers_hash(self.key),
        }
        self.client.update(
            CLUSTER_ISSUERS,
            made | {"status": {"acme": status, "conditions": [READY | REGISTERED]}},
            subresource="status",
        )

    def _certificate(self, name, spec, **metadata):
        secret_name = spec.get("secretName", f"{name}-tls")
        host, namespace = f"{name}.{self.namespace}.example.test", self.namespace
        own = {"secretName": secret_name, "dnsNames": [host]} | spec
        body = {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": {"name": name, "namespace": namespace} | metadata,
        }
        made = self.client.apply(CERTIFICATES, {**body, "spec": own}, manager="kubectl")
        begun = int(time.time() - DAY)
        key = keys.generate(PrivateKeySpec())
        pem = a_chain(key, dns_names=(host,), common_name=host, not_before=begun)
        named = {
            "alt-names": host,
            "certificate-name": name,
            "common-name": host,
            "ip-sans": "",
            "uri-sans": "",
        }
        named |= {f"issuer-{part}": spec["issuerRef"].get(part, "") for part in ("name", "kind", "group")}
        template = spec.get("secretTemplate", {"labels": {}, "annotations": {}})
        annotations = {f"{CERT_MANAGER}{part}": value for part, value in named.items()} | template[
            "annotations"
        ]
        labels = {"controller.cert-manager.io/fao": "true"} | template["labels"]
        secret = {"name": secret_name, "namespace": namespace, "labels": labels, "annotations": annotations}
        data = {"tls.crt": base64_of(pem), "tls.key": base64_of(key)}
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": secret,
            "data": data,
        }
        self.client.apply(SECRETS, body, manager=FIELD_MANAGER_OF_CERT_MANAGER)
        times = {"notBefore": begun, "notAfter": begun + 90 * DAY, "renewalTime": begun + 60 * DAY}
        status = {part: rfc3339(instant) for part, instant in times.items()} | {
            "revision": 1,
            "conditions": [READY | UP_TO_DATE],
        }
        self.client.update(CERTIFICATES, made | {"status": status}, subresource="status")

    def _ingress(self):
        host, namespace = f"shop-tls.{self.namespace}.example.test", self.namespace
        backend = {"service": {"name": "shop", "port": {"number": 80}}}
        rules = [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]
        metadata = {
            "name": "shop",
            "namespace": namespace,
            "annotations": {"cert-manager.io/cluster-issuer": self.issuer},
        }
        spec = {"tls": [{"hosts": [host], "secretName": "shop-tls"}], "rules": rules}
        body = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}
        owner = self.client.apply(INGRESSES, body, manager="kubectl")["metadata"]
        reference = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "name": "shop",
            "uid": owner["uid"],
        }
        ref = {"name": self.issuer, "kind": "ClusterIssuer", "group": "cert-manager.io"}
        spec = {
            "secretName": "shop-tls",
            "issuerRef": ref,
            "usages": ["digital signature", "key encipherment"],
        }
        self._certificate(
            "shop-tls", spec, ownerReferences=[{**reference, "controller": True, "blockOwnerDeletion": True}]
        )


class Certmill:
    """The controller's and the worker's parts in this process, one look after another."""

    def __init__(self, controller, runtime):
        self.runtime, self.adopted = runtime, []
        self._controller = controller

    def adopt_ready(self):
        """As a controller that begins to lead; what it wants looked at is looked at. Returns what that
        was."""
        self._controller.adopt_ready(
            lambda right: self.adopted.extend(certificate for certificate, _ in right)
        )
        looks = self._controller.take(100, seconds=0)
        for look in looks:
            if look.kind in ("Ingress", "VirtualServer"):
                self.runtime.shims.reconcile(look.kind, look.reference, look.left)
            elif look.kind == "Certificate":
                self.runtime.reconciler.reconcile(CertificateId(look.reference))
            else:
                self.runtime.issuers.reconcile_path(look.kind, look.reference, owner="a test")
        return looks

    def renew(self, certificate):
        assert self.runtime.reconciler.reconcile(certificate, ReconcileOptions(force=True)).publish_run
        ends = time.monotonic() + 60
        for step in STEP_NAMES:
            while isinstance(self.runtime.engine.run(step, certificate, task_id="t", root_id="r"), Wait):
                assert time.monotonic() < ends, step
                time.sleep(0.1)


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    directory = tmp_path_factory.mktemp("moving")
    tsig = {"certmill": ("hmac-sha256", TSIG_SECRET)}
    with (
        Bind(directory=directory / "bind", tsig=tsig) as bind,
        Pebble(directory=directory / "pebble", dns=bind.address) as pebble,
    ):
        yield bind, pebble


@pytest.fixture
def cluster(empty_kube, servers, namespace):
    """Of other modules there is nothing: a first sight looks at every ClusterIssuer, also at one whose CA is
    no longer there."""
    client = client_of(empty_kube)
    make_namespace(empty_kube, "cert-manager")
    cluster = Cluster(client, namespace, servers[1], servers[0])
    yield cluster
    client.delete(CLUSTER_ISSUERS, "", cluster.issuer)


@pytest.fixture
def certmill(kube, cluster, redis_server, tmp_path):
    settings = Settings(
        home=tmp_path,
        home_kind="kubernetes",
        kubeconfig=kube.kubeconfig(),
        redis_url=redis_server.url.replace("/0", "/9"),
        recursive_nameservers=cluster.bind.address,
        authoritative_port=cluster.bind.port,
    )
    runtime = Runtime.open(settings)
    runtime.redis.flushdb()
    with watching(cluster.client, (cluster.namespace,)) as controller:
        until(lambda: controller.synced, what="everything is listed")
        yield Certmill(controller, runtime)
    runtime.close()


def test_a_valid_pair_is_adopted_without_a_write_or_a_request_to_the_ca(cluster, certmill):
    before, said = cluster.versions(), cluster.pebble.log.read_text()

    looks = certmill.adopt_ready()

    assert sorted(certmill.adopted) == [f"{cluster.namespace}/shop-tls", f"{cluster.namespace}/web"]
    assert {look.kind for look in looks if look.namespace in ("", cluster.namespace)} == {"ClusterIssuer"}
    assert cluster.versions() == before
    assert cluster.pebble.log.read_text() == said


def the_policies_of_cert_manager(certificate, secret, now):
    """What would make it issue again, or mend the Secret (internal/controller/certificates/policies); no
    CertificateRequest is there."""
    data = {name: base64.b64decode(value) for name, value in secret["data"].items()}
    leaf = x509.load_pem_x509_certificate(data["tls.crt"])
    key = serialization.load_pem_private_key(data["tls.key"], None)
    spec, annotations = certificate["spec"], secret["metadata"]["annotations"]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName
    )
    common_name = next((one.value for one in leaf.subject), "")
    details = {"alt-names": ",".join(names), "common-name": common_name, "ip-sans": "", "uri-sans": ""}
    template = spec.get("secretTemplate", {})
    checks = {
        "SecretIsMissingData": all(data.get(name) for name in ("tls.crt", "tls.key")),
        "SecretPublicKeysDiffer": key.public_key() == leaf.public_key(),
        "SecretIssuerAnnotationsMismatch": all(
            annotations[f"{CERT_MANAGER}issuer-{part}"] == spec["issuerRef"].get(part, "")
            for part in ("name", "kind", "group")
        ),
        "SecretCertificateNameAnnotationsMismatch": annotations[f"{CERT_MANAGER}certificate-name"]
        == certificate["metadata"]["name"],
        "SecretPrivateKeyMismatchesSpec": isinstance(key, rsa.RSAPrivateKey) and key.key_size == 2048,
        "CurrentCertificateRequestMismatchesSpec": set(names) == set(spec["dnsNames"]),
        "CurrentCertificateNearingExpiry": instant_of(certificate["status"]["renewalTime"]) > now,
        "SecretBaseLabelsMismatch": secret["metadata"]["labels"]["controller.cert-manager.io/fao"] == "true",
        "SecretCertificateDetailsAnnotationsMismatch": all(
            annotations[CERT_MANAGER + part] == value for part, value in details.items()
        ),
        "SecretSecretTemplateMismatch": all(
            secret["metadata"][part].items() >= values.items()
            for part, values in template.items()
            if part in ("labels", "annotations")
        ),
    }
    return [name for name, holds in checks.items() if not holds]


def test_after_a_renewal_by_us_cert_manager_finds_nothing_to_do_either(cluster, certmill):
    certmill.adopt_ready()
    old = cluster.client.get(SECRETS, cluster.namespace, "web-tls")["data"]
    accounts = cluster.pebble.log.read_text().count("accounts in memory")

    certmill.renew(CertificateId(f"{cluster.namespace}/web"))

    certificate = cluster.client.get(CERTIFICATES, cluster.namespace, "web")
    secret = cluster.client.get(SECRETS, cluster.namespace, "web-tls")
    assert {name for name in old if old[name] == secret["data"][name]} == set()
    assert the_policies_of_cert_manager(certificate, secret, time.time()) == []
    # cert-manager asks for the CertificateRequest of this revision: there is none, and so none that the
    # Secret could differ from.
    assert certificate["status"]["revision"] == 2
    assert [(one["type"], one["status"], one["reason"]) for one in certificate["status"]["conditions"]] == [
        ("Ready", "True", "Ready")
    ]
    # pkg/issuer/acme/setup.go: with these it does not ask the CA for the account.
    status = cluster.client.get(CLUSTER_ISSUERS, "", cluster.issuer)["status"]
    assert (status["acme"]["uri"], status["acme"]["lastRegisteredEmail"]) == (cluster.uri, "ops@example.test")
    assert status["acme"]["lastPrivateKeyHash"] == cert_managers_hash(cluster.key)
    assert [(one["type"], one["status"]) for one in status["conditions"]] == [("Ready", "True")]
    assert cluster.pebble.log.read_text().count("accounts in memory") == accounts


def test_the_policies_here_would_find_what_is_wrong(cluster):
    """Or the test above could not fail."""
    certificate = cluster.client.get(CERTIFICATES, cluster.namespace, "web")
    secret = cluster.client.get(SECRETS, cluster.namespace, "web-tls")
    other = cluster.client.get(SECRETS, cluster.namespace, "shop-tls")
    wrong = json.loads(json.dumps(secret)) | {"data": other["data"]}
    wrong["metadata"]["labels"].pop("team")

    assert the_policies_of_cert_manager(certificate, secret, time.time()) == []
    assert the_policies_of_cert_manager(certificate, wrong, time.time()) == [
        "CurrentCertificateRequestMismatchesSpec",
        "SecretCertificateDetailsAnnotationsMismatch",
        "SecretSecretTemplateMismatch",
    ]
