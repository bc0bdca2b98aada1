"""Attacks that a tenant can try with objects, annotations, statuses, messages and web servers of his own;
each is really tried.

What must not happen is looked for after an honest Certificate, asked for later, has been issued: by then
every attack has been looked at."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import socket
import threading
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import dns.query
import dns.tsigkeyring
import dns.update
import pytest
import yaml

from certmill.contract import CHANGES_QUEUE, REQUESTS_QUEUE, STEPS_QUEUE, envelope
from certmill.crypto import keys
from certmill.kube.resources import (
    CERTIFICATES,
    CLUSTER_ISSUERS,
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    INGRESSES,
    ISSUERS,
    LEASES,
    SECRETS,
)
from certmill.model.certificate import KeyAlgorithm, PrivateKeySpec
from tests.support.builders import a_chain
from tests.support.cluster import make_namespace
from tests.support.kube_lab import TSIG_SECRET, KubeLab
from tests.support.overheard import Overheard, decoded, dump, forms, private_forms
from tests.support.virtual_servers import serve_virtual_servers

HTTP01 = {"http01": {"ingress": {"class": "nginx"}}}
EAB_SECRET = base64.urlsafe_b64encode(b"an external account key of bytes").decode().rstrip("=")
INTERNAL = "what an internal service tells nobody"
LISTED = (CERTIFICATES, ISSUERS, CLUSTER_ISSUERS, INGRESSES, EVENTS, LEASES)


@pytest.fixture(scope="module")
def lab(empty_kube, tmp_path_factory):
    serve_virtual_servers(empty_kube)
    with (
        KubeLab(directory=tmp_path_factory.mktemp("secure"), kube=empty_kube) as lab,
        Overheard(lab.redis.url) as overheard,
    ):
        lab.overheard = overheard
        lab.certmill.start(workers=0, beats=0, responder=False, flower=True)
        lab.apply_issuer(lab.rfc2136())
        lab.apply_issuer(HTTP01, name="by-http", privateKeySecretRef={"name": "by-http-account-key"})
        yield lab


@pytest.fixture
def victim(kube, namespace):
    """Another tenant's namespace."""
    make_namespace(kube, f"{namespace}-victim")
    return f"{namespace}-victim"


def issue_honestly(lab, namespace, name="honest"):
    """A Certificate that is issued: what was there before has been looked at."""
    lab.apply_certificate(namespace, name, f"{name}.{namespace}.example.test")
    return lab.wait_ready(namespace, name)


def an_issuer(lab, *solvers, kind="Issuer", name="dev", **acme):
    own = lab.acme(*solvers) | {"privateKeySecretRef": {"name": "dev-account-key"}} | acme
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"acme": own},
    }


def apply_tenants_issuer(lab, namespace, *solvers, **acme):
    """An Issuer of the tenant's own, ready."""
    lab.apply(an_issuer(lab, *solvers, **acme), namespace)
    lab.until(
        lambda: lab.condition(ISSUERS, namespace, "dev", "Ready") == "True",
        what=lambda: lab.conditions(ISSUERS, namespace, "dev"),
    )


def account(lab, resource, namespace, name):
    return lab.client.get(resource, namespace, name)["status"]["acme"]


def failure(lab, namespace, name):
    """Why a Certificate failed."""

    def found():
        issuing = lab.conditions(CERTIFICATES, namespace, name).get("Issuing", {})
        return issuing.get("status") == "False" and issuing["message"]

    return lab.until(found, what=lambda: lab.events(namespace, name))


def refusal(lab, namespace, name, words):
    """The condition Ready of a Certificate that is refused with these words."""

    def found():
        ready = lab.conditions(CERTIFICATES, namespace, name).get("Ready", {})
        return words in ready.get("message", "") and ready

    return lab.until(found, what=lambda: str(lab.conditions(CERTIFICATES, namespace, name)))


class Listener:
    """A server of the attacker's, to which credentials would be sent if certmill believed him."""

    def __enter__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        return self

    def __exit__(self, *exception):
        self._socket.close()

    @property
    def heard(self):
        self._socket.setblocking(False)
        try:
            return self._socket.recv(65_536)
        except BlockingIOError:
            return None


def crd(kind, group):
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"kind": kind, "plural": plural, "singular": kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [version]},
    }


class TestObjectsMadeByHand:
    @pytest.fixture
    def cert_managers_kinds(self, kube, tmp_path):
        kinds = {
            "Challenge": "acme.cert-manager.io",
            "Order": "acme.cert-manager.io",
            "CertificateRequest": "cert-manager.io",
        }
        file = tmp_path / "crds.yaml"
        file.write_text("\n---\n".join(json.dumps(crd(*pair)) for pair in kinds.items()))
        kube.api.install_crds([file])
        yield kinds
        for kind, group in kinds.items():
            kube.api.request("DELETE", CUSTOM_RESOURCE_DEFINITIONS.path(None, f"{kind.lower()}s.{group}"))

    def test_a_challenge_with_a_solver_of_its_own_uses_no_credential(
        self, lab, namespace, cert_managers_kinds
    ):
        """GHSA-8rvj-mm4h-c258: the attacker's name server would get an update signed with the ClusterIssuer's
        TSIG key."""
        host, ref = (
            f"victim.{namespace}.example.test",
            {"name": "prod-issuer", "kind": "ClusterIssuer", "group": "cert-manager.io"},
        )
        orders = lab.orders()
        with Listener() as listener:
            solver = lab.rfc2136()
            solver["dns01"]["rfc2136"]["nameserver"] = listener.address
            challenge = {
                "type": "DNS-01",
                "dnsName": host,
                "key": "k",
                "token": "t",
                "solver": solver,
                "issuerRef": ref,
                "url": "https://x/",
            }
            bodies = {
                "Challenge": challenge | {"authorizationURL": "https://x/"},
                "Order": {"request": "", "dnsNames": [host], "issuerRef": ref},
                "CertificateRequest": {
                    "request": "",
                    "issuerRef": ref,
                    "uid": "system:serviceaccount:cert-manager:certmill-worker",
                },
            }
            for kind, spec in bodies.items():
                api_version = f"{cert_managers_kinds[kind]}/v1"
                state = {"status": {"processing": True, "presented": True, "state": "pending"}}
                lab.apply(
                    {"apiVersion": api_version, "kind": kind, "metadata": {"name": "by-hand"}, "spec": spec}
                    | state,
                    namespace,
                )
            issue_honestly(lab, namespace)

            assert listener.heard is None
        assert lab.orders() == orders + 1
        assert lab.bind.txt(f"_acme-challenge.{host}") == set()

    def test_a_status_that_names_another_issuers_account_does_not_make_it_ours(self, lab, namespace):
        apply_tenants_issuer(lab, namespace, HTTP01)
        theirs, own = (
            account(lab, CLUSTER_ISSUERS, "", "prod-issuer"),
            account(lab, ISSUERS, namespace, "dev"),
        )
        assert own["uri"] != theirs["uri"]

        body = lab.client.get(ISSUERS, namespace, "dev")
        body["status"]["acme"] = dict(theirs)
        lab.client.update(ISSUERS, body, subresource="status")
        lab.client.merge(ISSUERS, namespace, "dev", {"metadata": {"annotations": {"look": "again"}}})

        lab.until(
            lambda: account(lab, ISSUERS, namespace, "dev")["uri"] == own["uri"], what="its own account again"
        )
        assert account(lab, CLUSTER_ISSUERS, "", "prod-issuer") == theirs

    def test_the_ca_refuses_the_uri_of_another_account_with_the_own_key(self, lab, namespace):
        apply_tenants_issuer(lab, namespace, HTTP01)
        body = lab.client.get(ISSUERS, namespace, "dev")
        body["status"]["acme"]["uri"] = account(lab, CLUSTER_ISSUERS, "", "prod-issuer")["uri"]
        lab.client.update(ISSUERS, body, subresource="status")
        orders = lab.orders()

        lab.apply_certificate(namespace, "web", f"{namespace}.example.test", issuerRef={"name": "dev"})

        assert "refuses to create an order" in failure(lab, namespace, "web")
        assert lab.orders() == orders

    def test_annotations_set_by_hand_on_a_secret_give_no_other_rights(self, lab, namespace, victim):
        """Whatever Certificate, also of another namespace, or issuer they name."""
        issue_honestly(lab, victim)
        before, host = lab.client.get(SECRETS, victim, "honest-tls"), f"{namespace}.example.test"
        key = keys.generate(PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=256))
        made = {"tls.crt": a_chain(key, dns_names=(host,)).decode(), "tls.key": key.decode()}
        for number, name in enumerate((f"../{victim}/honest", "ünïcode", "x" * 5000, "honest")):
            annotations = {
                "cert-manager.io/certificate-name": name,
                "cert-manager.io/issuer-name": "prod-issuer",
                "cert-manager.io/issuer-kind": "ClusterIssuer",
            }
            labels = {"controller.cert-manager.io/fao": "true", "certmill.io/acme-account": "false"}
            metadata = {"name": f"forged-{number}", "annotations": annotations, "labels": labels}
            lab.apply(
                {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": made}, namespace
            )
        orders = lab.orders()

        issue_honestly(lab, namespace)

        assert lab.orders() == orders + 1
        assert lab.client.get(SECRETS, victim, "honest-tls") == before

    def test_a_forged_message_does_not_execute_a_step_that_is_not_due(self, lab, namespace, victim):
        """Who can write to these queues has Redis; even then a message is a wake-up, and says nothing of its
        own."""
        issue_honestly(lab, victim)
        before, orders = lab.client.get(SECRETS, victim, "honest-tls"), lab.orders()
        request = {
            "name": "x",
            "namespace": victim,
            "spec": {"dnsNames": ["x.example.test"], "issuerRef": {"name": f"../{victim}/dev"}},
        }
        forged = [
            (STEPS_QUEUE, "certificate.store_secret", f"{victim}/honest"),
            (STEPS_QUEUE, "certificate.clean_up", f"{victim}/honest"),
            (STEPS_QUEUE, "certificate.create_order", f"{namespace}/never-applied"),
            (STEPS_QUEUE, "certificate.create_order", f"{namespace}/../{victim}/honest"),
            (CHANGES_QUEUE, "reconcile.issuer", f"{victim}/%2e%2e"),
            (CHANGES_QUEUE, "reconcile.certificate", f"{victim}/honest"),
            (REQUESTS_QUEUE, "reconcile.certificate", f"{victim}/honest"),
            (REQUESTS_QUEUE, "certificate.request", request),
        ]

        for queue, task, argument in forged:
            made = envelope(
                task, [argument], queue=queue, task_id=str(uuid.uuid4()), argsrepr="()", origin="attacker"
            )
            lab.runtime.redis.lpush(queue, json.dumps(made))
        lab.until(
            lambda: not any(lab.runtime.redis.llen(queue) for queue, _, _ in forged),
            what="all of them are taken",
        )
        issue_honestly(lab, namespace)

        assert lab.orders() == orders + 1
        assert lab.client.get(SECRETS, victim, "honest-tls") == before
        assert lab.client.get(CERTIFICATES, victim, "x") is None

    def test_a_certificate_of_another_groups_issuer_is_not_ours_whatever_its_name(self, lab, namespace):
        ref = {"name": "prod-issuer", "kind": "ClusterIssuer", "group": "awspca.cert-manager.io"}
        lab.apply_certificate(namespace, "foreign", f"foreign.{namespace}.example.test", issuerRef=ref)
        orders = lab.orders()

        issue_honestly(lab, namespace)

        assert lab.orders() == orders + 1
        assert "status" not in lab.client.get(CERTIFICATES, namespace, "foreign")
        assert lab.client.get(SECRETS, namespace, "foreign-tls") is None


class TestSecretsOfIssuers:
    @pytest.mark.parametrize("secret", ["dev-account-key", "dev-tsig"])
    def test_are_never_written_over_by_a_certificate_of_another_issuer(self, lab, namespace, secret):
        lab.apply_secret(namespace, "dev-tsig", {"secret": TSIG_SECRET})
        solver = lab.rfc2136()
        solver["dns01"]["rfc2136"]["tsigSecretSecretRef"]["name"] = "dev-tsig"
        apply_tenants_issuer(lab, namespace, solver)
        # One that cert-manager made has no label of ours.
        lab.client.merge(SECRETS, namespace, secret, {"metadata": {"labels": None}})
        before = lab.client.get(SECRETS, namespace, secret)

        annotations = {"cert-manager.io/issue-temporary-certificate": "true"}
        lab.apply_certificate(
            namespace, "slip", f"{namespace}.example.test", secretName=secret, annotations=annotations
        )

        ready = refusal(
            lab,
            namespace,
            "slip",
            f"spec.secretName: is a Secret that Issuer/{namespace}/dev needs for itself",
        )
        assert (ready["status"], ready["reason"]) == ("False", "InvalidSpec")
        assert lab.client.get(SECRETS, namespace, secret) == before

    def test_secrets_of_another_namespace_cannot_be_named(self, lab, namespace, victim):
        """The victim's are there, and so are the ClusterIssuers'."""
        lab.apply_secret(victim, "tsig", {"secret": TSIG_SECRET})
        spellings = (
            f"../{victim}/tsig",
            f"{victim}/tsig",
            f"..%2f{victim}%2ftsig",
            f"{victim}%2Ftsig",
            "../../cert-manager/secrets/tsig",
            "tsig",
        )
        tried = 0
        for number, spelling in enumerate(spellings):
            solver = lab.rfc2136()
            solver["dns01"]["rfc2136"]["tsigSecretSecretRef"]["name"] = spelling
            issuers = ISSUERS.path(namespace, f"dev-{number}")
            answer = lab.kube.api.request(
                "PATCH",
                f"{issuers}?fieldManager=tests",
                an_issuer(
                    lab,
                    solver,
                    name=f"dev-{number}",
                    privateKeySecretRef={"name": f"dev-{number}-account-key"},
                ),
                content_type="application/apply-patch+yaml",
            )
            if answer.is_ok:
                tried += 1
                lab.apply_certificate(
                    namespace,
                    f"web-{number}",
                    f"web-{number}.{namespace}.example.test",
                    issuerRef={"name": f"dev-{number}"},
                )

        issue_honestly(lab, namespace)

        assert tried > 0
        assert f"{namespace}/tsig" in failure(lab, namespace, "web-5")
        for number in range(len(spellings)):
            assert lab.condition(CERTIFICATES, namespace, f"web-{number}", "Ready") != "True"
            assert lab.client.get(SECRETS, namespace, f"web-{number}-tls") is None

    @pytest.mark.parametrize("name", ["prod-issuer-account-key", "../cert-manager/prod-issuer-account-key"])
    def test_an_account_key_of_another_namespace_is_not_used(self, lab, namespace, name):
        body = an_issuer(lab, HTTP01, privateKeySecretRef={"name": name})
        answer = lab.kube.api.request(
            "PATCH",
            f"{ISSUERS.path(namespace, 'dev')}?fieldManager=tests",
            body,
            content_type="application/apply-patch+yaml",
        )
        if answer.is_ok:
            lab.until(lambda: lab.conditions(ISSUERS, namespace, "dev").get("Ready"), what="it was looked at")

        issue_honestly(lab, namespace)

        own = (lab.client.get(ISSUERS, namespace, "dev") or {}).get("status", {}).get("acme", {})
        assert own.get("uri") != account(lab, CLUSTER_ISSUERS, "", "prod-issuer")["uri"]
        assert (
            own.get("lastPrivateKeyHash")
            != account(lab, CLUSTER_ISSUERS, "", "prod-issuer")["lastPrivateKeyHash"]
        )


class TestAnnotations:
    def test_a_challenge_uses_no_ingress_of_another_namespace(self, lab, namespace, victim):
        host = f"{victim}.example.test"
        backend = {"service": {"name": "shop-svc", "port": {"number": 80}}}
        rules = [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]
        ingress = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "shop"},
            "spec": {"rules": rules},
        }
        lab.apply(ingress, victim)
        before = lab.client.get(INGRESSES, victim, "shop")
        said = {}
        for number, name in enumerate(
            ("shop", f"../{victim}/ingresses/shop", f"{victim}/shop", f"..%2f{victim}")
        ):
            annotations = {"acme.cert-manager.io/http01-override-ingress-name": name}
            ref = {"name": "by-http", "kind": "ClusterIssuer"}
            lab.apply_certificate(
                namespace, f"web-{number}", f"w{number}.{host}", annotations=annotations, issuerRef=ref
            )
            said[name] = failure(lab, namespace, f"web-{number}")

        assert f"the Ingress {namespace}/shop" in said["shop"]
        assert all(
            "http01-override-ingress-name" in message for name, message in said.items() if name != "shop"
        )
        assert lab.client.get(INGRESSES, victim, "shop") == before
        lab.until(lambda: lab.traces(namespace) == [], what=lambda: lab.traces(namespace))

    def test_an_ingress_gets_nothing_from_an_issuer_of_another_namespace(self, lab, namespace, victim):
        apply_tenants_issuer(lab, victim, HTTP01)
        for number, name in enumerate(("dev", f"{victim}/dev", f"../{victim}/dev")):
            metadata = {"name": f"shop-{number}", "annotations": {"cert-manager.io/issuer": name}}
            tls = [{"hosts": [f"shop-{number}.{namespace}.example.test"], "secretName": f"shop-{number}-tls"}]
            spec = {"tls": tls, "defaultBackend": {"service": {"name": "shop-svc", "port": {"number": 80}}}}
            lab.apply(
                {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec},
                namespace,
            )

        told = f"Issuer/{namespace}/dev is not there"
        lab.until(
            lambda: any(told in message for _, _, message in lab.events(namespace, "shop-0-tls")),
            what=f"an event: {told}",
        )
        for number in (1, 2):
            assert refusal(lab, namespace, f"shop-{number}-tls", "spec.issuerRef.name")["status"] == "False"
        assert [lab.client.get(SECRETS, namespace, f"shop-{number}-tls") for number in range(3)] == [None] * 3

    def test_our_annotations_set_by_hand_only_change_when_that_certificate_is_tried(self, lab, namespace):
        attempt = {
            "next": "2999-01-01T00:00:00Z",
            "after": "2026-01-01T00:00:00Z",
            "attempts": 10**30,
            "spec": ["x"],
            "issued": {},
        }
        annotations = {
            "certmill.io/next-attempt": json.dumps(attempt),
            "certmill.io/http01-challenges": json.dumps({"for": {"victim.example.test": ["web"]}}),
            "certmill.io/certificate-name": "../x",
            "cert-manager.io/certificate-name": "../x",
        }
        lab.apply_certificate(namespace, "web", f"{namespace}.example.test", annotations=annotations)

        assert lab.wait_ready(namespace, "web").dns_names == (f"{namespace}.example.test",)


def test_names_as_long_as_they_may_be_are_issued_like_others(lab, namespace):
    """253 characters in one label, which is no DNS name but a name of an object."""
    issuer, name = "i" * 253, "c" * 253
    lab.apply_issuer(HTTP01, name=issuer, privateKeySecretRef={"name": "k" * 253})

    lab.apply_certificate(
        namespace,
        name,
        f"{namespace}.example.test",
        secretName="s" * 253,
        issuerRef={"name": issuer, "kind": "ClusterIssuer"},
    )

    assert lab.wait_ready(namespace, name).dns_names == (f"{namespace}.example.test",)
    lab.until(lambda: lab.traces(namespace) == [], what=lambda: lab.traces(namespace))
    assert any(reason == "Issuing" for _, reason, _ in lab.events(namespace, name))


class Site(http.server.BaseHTTPRequestHandler):
    """Of the attacker (127.0.0.2), and what is behind the wall (127.0.0.3)."""

    def do_GET(self):
        where, path = self.server.server_address[0], urlsplit(self.path).path
        self.server.asked.append(self.path)
        if where == "127.0.0.3":
            return self._say(200, INTERNAL.encode())
        port = self.server.server_address[1]
        how = self.headers["Host"].partition(".")[0]
        if how == "redirect":
            return self._say(
                302,
                INTERNAL.encode(),
                Location=f"http://127.0.0.3:{port}/latest/meta-data?{INTERNAL.replace(' ', '+')}",
            )
        if how == "large":
            return self._say(200, INTERNAL.encode() * 300_000)
        return self._say(
            500,
            f"{INTERNAL} {path}".encode(),
            **{"X-Said": INTERNAL, "Retry-After": INTERNAL, "Set-Cookie": INTERNAL},
        )

    def _say(self, status, body, **fields):
        self.send_response(status, INTERNAL)
        for name, value in {"Content-Length": str(len(body)), **fields}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *arguments):
        """Nothing."""


@contextlib.contextmanager
def serving(address, port):
    server = http.server.ThreadingHTTPServer((address, port), Site)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def texts_of(lab):
    """All that anybody but the holders of Secrets can read: objects, logs, what Flower keeps, and Redis with
    all that passed."""
    objects = [one for resource in LISTED for one in lab.client.list(resource).items]
    objects += [{"metadata": one["metadata"]} for one in lab.client.list(SECRETS).items]
    files = [*lab.directory.glob("*.log"), *(lab.certmill.home / "flower").rglob("*")]
    traffic = "\n".join(lab.overheard.commands)
    texts = {file.name: file.read_bytes().decode("latin-1") for file in files if file.is_file()}
    return texts | {
        "objects": json.dumps(objects, ensure_ascii=False),
        "redis": "\n".join(dump(lab.redis.url)),
        "traffic": traffic,
        "bodies": decoded(traffic),
    }


def test_what_a_self_check_reads_is_shown_to_nobody(lab, namespace):
    ways = ("redirect", "large", "reflect")
    update = dns.update.UpdateMessage(
        "example.test",
        keyring=dns.tsigkeyring.from_text({"certmill": TSIG_SECRET}),
        keyalgorithm="hmac-sha256",
    )
    for how in ways:
        update.replace(f"{how}.{namespace}", 1, "A", "127.0.0.2")
    dns.query.tcp(update, "127.0.0.1", port=lab.bind.port, timeout=5)

    with serving("127.0.0.2", lab.nginx.port) as site, serving("127.0.0.3", lab.nginx.port) as internal:
        for how in ways:
            ref = {"name": "by-http", "kind": "ClusterIssuer"}
            lab.apply_certificate(namespace, how, f"{how}.{namespace}.example.test", issuerRef=ref)

        def told():
            return {
                how: [message for _, reason, message in lab.events(namespace, how) if reason == "Waiting"]
                for how in ways
            }

        def of_its_answer():
            return all(
                any(f"{how}.{namespace}.example.test answered" in message for message in told()[how])
                for how in ways
            )

        lab.until(of_its_answer, what=lambda: str(told()))
        assert internal.asked
        assert len(site.asked) >= len(ways)
        lab.until(
            lambda: "task-retried" in decoded("\n".join(lab.overheard.commands)),
            what="its event, which travels in a batch",
        )
        texts, messages = texts_of(lab), told()
        for how in ways:
            lab.client.delete(CERTIFICATES, namespace, how)

    assert [
        where
        for where, text in texts.items()
        if INTERNAL[:20] in text or INTERNAL[:20].replace(" ", "+") in text
    ] == []
    of_the_redirect = (
        f"redirect.{namespace}.example.test answered with a redirect that does not lead to the key "
        "authorization"
    )
    assert of_the_redirect in messages["redirect"]


@pytest.fixture(scope="module")
def after_everything(lab, kube):
    """A whole life under each kind of issuer, and failures; then all secrets there are, and all texts."""
    namespace = "secrets-of-all-kinds"
    make_namespace(kube, namespace)
    lab.apply_secret("cert-manager", "eab", {"key": EAB_SECRET})
    binding = {"keyID": "kid-1", "keySecretRef": {"name": "eab", "key": "key"}}
    own = {"privateKeySecretRef": {"name": "bound-account-key"}, "externalAccountBinding": binding}
    lab.apply(an_issuer(lab, lab.rfc2136(), kind="ClusterIssuer", name="bound", **own))
    lab.until(
        lambda: "Ready" in lab.conditions(CLUSTER_ISSUERS, "", "bound"),
        what="the CA has said what it thinks of the binding",
    )
    wrong = base64.b64encode(b"another secret, which BIND refuses").decode()
    lab.apply_secret("cert-manager", "wrong-tsig", {"secret": wrong})
    solver = lab.rfc2136()
    solver["dns01"]["rfc2136"]["tsigSecretSecretRef"]["name"] = "wrong-tsig"
    lab.apply_issuer(solver, name="wrong", privateKeySecretRef={"name": "wrong-account-key"})
    lab.apply_certificate(namespace, "rsa", "rsa.example.test", privateKey={"algorithm": "RSA"})
    lab.apply_certificate(
        namespace, "http", "http.example.test", issuerRef={"name": "by-http", "kind": "ClusterIssuer"}
    )
    lab.apply_certificate(
        namespace, "wrong", "wrong.example.test", issuerRef={"name": "wrong", "kind": "ClusterIssuer"}
    )
    for name in ("rsa", "http"):
        lab.wait_ready(namespace, name)
        lab.until(
            lambda name=name: any(
                "successfully issued" in message for *_, message in lab.events(namespace, name)
            ),
            what="it is told",
        )
    lab.until(
        lambda: "task-succeeded" in decoded("\n".join(lab.overheard.commands)),
        what="an event, which travels in a batch",
    )
    lab.until(
        lambda: any(reason in ("Failed", "Waiting") for _, reason, _ in lab.events(namespace, "wrong")),
        what="it does not go well",
    )

    def value(where, name, key="tls.key"):
        return base64.b64decode(lab.client.get(SECRETS, where, name)["data"][key])

    secrets = {f"key of {name}": private_forms(value(namespace, f"{name}-tls")) for name in ("rsa", "http")}
    secrets |= {
        f"account key of {name}": private_forms(value("cert-manager", f"{name}-account-key"))
        for name in ("by-http", "prod-issuer", "bound")
    }
    secrets |= {
        "TSIG": forms(TSIG_SECRET.encode()) + forms(base64.b64decode(TSIG_SECRET)),
        "EAB": forms(EAB_SECRET.encode()),
    }
    secrets |= {"wrong TSIG": forms(wrong.encode()) + forms(base64.b64decode(wrong))}
    secrets |= {
        "seal key": [(lab.certmill.home / "seal-key").read_text().strip()],
        "Flower's password": ["correct-horse-battery-staple"],
    }
    kubeconfigs = [
        settings["kubeconfig"] for settings in lab.certmill.settings_of.values() if "kubeconfig" in settings
    ]
    tokens = [yaml.safe_load(Path(file).read_text())["users"][0]["user"]["token"] for file in kubeconfigs]
    secrets |= {"tokens of the API server": [token[-64:] for token in tokens]}
    return secrets, texts_of(lab)


def test_the_search_would_find_each_secret(lab, after_everything):
    """In the Secrets themselves they are found, in one form or another; and what is searched is what there
    is."""
    secrets, texts = after_everything
    kept = lab.client.list(SECRETS).items
    values = [
        base64.b64decode(value).decode("latin-1") for one in kept for value in one.get("data", {}).values()
    ]
    everything = "\n".join(values)

    assert all(len(needle) > 8 for needles in secrets.values() for needle in needles)
    elsewhere = {"seal key", "Flower's password", "tokens of the API server"}
    assert [
        name
        for name, needles in secrets.items()
        if name not in elsewhere and not any(needle in everything for needle in needles)
    ] == []
    assert len(secrets["tokens of the API server"]) == 2
    assert {"controller.log", "worker1.log", "beat1.log", "responder.log", "flower.log"} <= texts.keys()
    assert "successfully issued" in texts["objects"]
    assert (
        "certificate.register_account" in texts["traffic"]
    )  # a worker continues with the other steps without a message
    assert "certificate.finalize" in texts["bodies"]
    assert "task-succeeded" in texts["bodies"]


def test_no_secret_is_in_an_object_a_log_a_message_redis_or_flower(after_everything):
    secrets, texts = after_everything

    assert [
        (name, where)
        for name, needles in secrets.items()
        for needle in needles
        for where, text in texts.items()
        if needle in text
    ] == []
    assert [where for where, text in texts.items() if "PRIVATE KEY-----" in text] == []
