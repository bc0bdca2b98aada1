"""Issuers and ClusterIssuers: what is read, by which rules, and what is refused."""

from __future__ import annotations

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certmill.errors import InvalidManifest
from certmill.model.issuer import (
    Cloudflare,
    Dns01Solver,
    ExternalAccountBinding,
    Http01Solver,
    IngressTemplate,
    Issuer,
    Protocol,
    Rfc2136,
    SecretKeyRef,
    Selector,
    Solver,
    TsigAlgorithm,
)
from certmill.model.manifests.parse import dump_yaml, parse_documents
from tests.unit.model.manifest_bodies import DOCUMENTED, an_issuer_body, without

TOKEN = {"name": "token", "key": "api-token"}
TOKEN_REF = SecretKeyRef(name="token", key="api-token")


def parse(body):
    (documents, wrong) = parse_documents(dump_yaml(body), source="issuer.yaml", default_namespace="blue")
    return documents, wrong


def read(body):
    documents, wrong = parse(body)
    assert wrong == []
    return documents[0].value


def refusal(body):
    documents, wrong = parse(body)
    assert documents == []
    (error,) = wrong
    assert "\n" not in str(error)
    return error


def with_solver(**solver):
    return an_issuer_body(solvers=[solver])


def with_dns01(**dns01):
    return with_solver(dns01=dns01)


def with_rfc2136(**rfc2136):
    return with_dns01(rfc2136={"nameserver": "192.0.2.53"} | rfc2136)


@pytest.fixture(scope="module")
def root_pem():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
    )
    return (
        builder.not_valid_before(at)
        .not_valid_after(at + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def test_a_small_cluster_issuer_gets_cert_managers_defaults():
    assert read(an_issuer_body()) == Issuer(
        kind="ClusterIssuer",
        namespace="",
        name="prod",
        server="https://acme-v02.api.letsencrypt.org/directory",
        private_key=SecretKeyRef(name="prod-account", key="tls.key"),
        solvers=(Solver(http01=Http01Solver()),),
    )


def test_an_issuer_is_in_its_namespace_and_a_cluster_issuer_in_none():
    somewhere = an_issuer_body() | {"metadata": {"name": "prod", "namespace": "red"}}

    assert read(an_issuer_body(kind="Issuer")).namespace == "blue"
    assert read(somewhere | {"kind": "Issuer"}).namespace == "red"
    assert read(somewhere).namespace == ""
    assert "namespace" not in parse(somewhere)[0][0].text


def test_every_field_that_is_acted_on_is_read(root_pem):
    body = an_issuer_body(
        email="ops@example.com",
        preferredChain="ISRG Root X1",
        caBundle=base64.encodebytes(root_pem).decode(),
        skipTLSVerify=False,
        externalAccountBinding={
            "keyID": "kid-1",
            "keySecretRef": {"name": "eab", "key": "secret"},
            "keyAlgorithm": "HS256",
        },
        privateKeySecretRef={"name": "account", "key": "key.pem"},
        disableAccountKeyGeneration=True,
        enableDurationFeature=True,
        profile="shortlived",
        renewalInformationSource="None",
        solvers=[
            {
                "selector": {
                    "matchLabels": {"a": "b"},
                    "dnsNames": ["*.Example.com", "bücher.example"],
                    "dnsZones": ["Example.com"],
                },
                "http01": {"ingress": {"class": "azure/gateway", "serviceType": "ClusterIP"}},
                "waitInsteadOfSelfCheck": "30s",
            },
            {"http01": {"ingress": {"ingressClassName": "nginx"}}, "waitInsteadOfSelfCheck": "0s"},
            {"selector": {}, "http01": {"ingress": {"name": "web", "serviceType": "NodePort"}}},
            {
                "dns01": {
                    "cnameStrategy": "Follow",
                    "nameservers": ["192.0.2.1:53", "[2001:DB8::1]:5353", "https://dns.example/dns-query"],
                    "rfc2136": {
                        "nameserver": "[2001:db8::53]:5353",
                        "tsigKeyName": "certmill.",
                        "tsigSecretSecretRef": TOKEN,
                        "tsigAlgorithm": "hmacsha512",
                        "protocol": "TCP",
                    },
                }
            },
            {"dns01": {"cnameStrategy": "None", "cloudflare": {"apiTokenSecretRef": TOKEN}}},
            {"dns01": {"cloudflare": {"email": "ops@example.com", "apiKeySecretRef": TOKEN}}},
        ],
    )
    body["metadata"] |= {
        "labels": {"a": "b"},
        "annotations": {"certmill.io/account-key-algorithm": "ECDSA-384"},
    }

    assert read(body) == Issuer(
        kind="ClusterIssuer",
        namespace="",
        name="prod",
        server="https://acme-v02.api.letsencrypt.org/directory",
        private_key=SecretKeyRef(name="account", key="key.pem"),
        email="ops@example.com",
        preferred_chain="ISRG Root X1",
        ca_bundle=root_pem,
        external_account_binding=ExternalAccountBinding(
            key_id="kid-1", key_secret_ref=SecretKeyRef(name="eab", key="secret")
        ),
        disable_account_key_generation=True,
        enable_duration=True,
        profile="shortlived",
        solvers=(
            Solver(
                selector=Selector(
                    match_labels={"a": "b"},
                    dns_names=("*.example.com", "xn--bcher-kva.example"),
                    dns_zones=("example.com",),
                ),
                http01=Http01Solver(ingress_class="azure/gateway", service_type="ClusterIP"),
                wait_instead_of_self_check=datetime.timedelta(seconds=30),
            ),
            Solver(
                http01=Http01Solver(ingress_class_name="nginx"),
                wait_instead_of_self_check=datetime.timedelta(),
            ),
            Solver(selector=Selector(), http01=Http01Solver(ingress_name="web", service_type="NodePort")),
            Solver(
                dns01=Dns01Solver(
                    follow_cname=True,
                    nameservers=("192.0.2.1:53", "[2001:db8::1]:5353", "https://dns.example/dns-query"),
                    provider=Rfc2136(
                        nameserver="2001:db8::53",
                        port=5353,
                        tsig_key_name="certmill.",
                        tsig_secret=TOKEN_REF,
                        tsig_algorithm=TsigAlgorithm.HMACSHA512,
                        protocol=Protocol.TCP,
                    ),
                )
            ),
            Solver(dns01=Dns01Solver(provider=Cloudflare(api_token=TOKEN_REF))),
            Solver(dns01=Dns01Solver(provider=Cloudflare(email="ops@example.com", api_key=TOKEN_REF))),
        ),
        account_key_algorithm="ECDSA-384",
        labels={"a": "b"},
        annotations={"certmill.io/account-key-algorithm": "ECDSA-384"},
    )


def test_the_template_of_an_ingress_is_read():
    metadata = {"labels": {"team": "shop"}, "annotations": {"a/b": "c"}}
    (solver,) = read(
        an_issuer_body(
            solvers=[{"http01": {"ingress": {"class": "nginx", "ingressTemplate": {"metadata": metadata}}}}]
        )
    ).solvers

    assert solver.http01 == Http01Solver(
        ingress_class="nginx",
        ingress_template=IngressTemplate(labels={"team": "shop"}, annotations={"a/b": "c"}),
    )


def test_the_template_of_a_pod_is_accepted_and_means_nothing_as_no_pod_is_made():
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"nodeSelector": {"a": "b"}, "affinity": {"x": {}}, "securityContext": {"runAsUser": 1}},
    }
    (solver,) = read(an_issuer_body(solvers=[{"http01": {"ingress": {"podTemplate": template}}}])).solvers

    assert solver.http01 == Http01Solver()


@pytest.mark.parametrize("template", [{}, {"metadata": None}, {"metadata": {}}])
def test_an_empty_template_of_an_ingress_is_none(template):
    (solver,) = read(an_issuer_body(solvers=[{"http01": {"ingress": {"ingressTemplate": template}}}])).solvers

    assert solver.http01 == Http01Solver()


GO_WRITES = {
    # A field that is no pointer is written though it is empty (pkg/apis/acme/v1/types_issuer.go), and a
    # status though there is none.
    "a TSIG secret without a name": with_rfc2136(tsigSecretSecretRef={"name": ""}),
    "a TSIG secret without name and key": with_rfc2136(
        tsigSecretSecretRef={"name": "", "key": ""}, tsigKeyName="", tsigAlgorithm=""
    ),
    "empty texts": an_issuer_body(email="", preferredChain="", profile="", caBundle="", skipTLSVerify=False),
    "nulls": an_issuer_body(email=None, caBundle=None, externalAccountBinding=None, preferredChain=None),
    "an empty Pod": with_solver(
        http01={"ingress": {"podTemplate": {"metadata": {}, "spec": {}}, "ingressTemplate": {"metadata": {}}}}
    ),
    "an Ingress without a name": with_solver(http01={"ingress": {"name": "", "serviceType": ""}}),
    "a registry's Secret without a name": with_solver(
        http01={"ingress": {"podTemplate": {"spec": {"imagePullSecrets": [{"name": ""}]}}}}
    ),
    "no time of creation": an_issuer_body()
    | {"metadata": {"name": "prod", "creationTimestamp": None}, "status": {}},
    "a name that the API server made up": an_issuer_body()
    | {"metadata": {"name": "prod", "generateName": "prod-"}},
    "cert-manager's default": an_issuer_body(renewalInformationSource="ARI"),
}


@pytest.mark.parametrize("body", GO_WRITES.values(), ids=GO_WRITES.keys())
def test_what_gos_clients_write_for_what_is_not_set_is_as_good_as_nothing(body):
    assert read(body) in (read(an_issuer_body()), read(with_rfc2136()))


def test_an_empty_reference_hides_no_mistyped_field():
    assert (
        refusal(with_rfc2136(tsigSecretSecretRef={"name": "", "kye": "a"})).path
        == f"{DNS01}.rfc2136.tsigSecretSecretRef.kye"
    )


@pytest.mark.parametrize(("body", "refused"), DOCUMENTED.values(), ids=DOCUMENTED.keys())
def test_every_example_of_cert_managers_manual_is_read_unless_certmill_does_not_act_on_it(body, refused):
    assert (refusal(body).path if refused else read(body).name) == (refused or "example")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_the_algorithm_of_an_external_account_has_no_effect_as_at_cert_manager(algorithm):
    binding = {"keyID": "kid-1", "keySecretRef": TOKEN}

    assert read(an_issuer_body(externalAccountBinding=binding | {"keyAlgorithm": algorithm})) == read(
        an_issuer_body(externalAccountBinding=binding)
    )


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("ns1.example.com", "ns1.example.com", 53),
        ("NS1.example.com:5353", "ns1.example.com", 5353),
        ("192.0.2.53:53", "192.0.2.53", 53),
        ("[2001:db8::53]:53", "2001:db8::53", 53),
        ("2001:db8::53", "2001:db8::53", 53),
        ("localhost:53", "localhost", 53),
    ],
)
def test_an_rfc_2136_server_is_an_address_or_a_name_and_its_port_may_be_left_out(text, host, port):
    (solver,) = read(with_rfc2136(nameserver=text)).solvers

    assert (solver.dns01.provider.nameserver, solver.dns01.provider.port) == (host, port)


def test_an_rfc_2136_server_needs_no_more_than_its_address():
    (solver,) = read(with_rfc2136()).solvers

    assert solver.dns01.provider == Rfc2136(
        nameserver="192.0.2.53", port=53, tsig_algorithm=TsigAlgorithm.HMACMD5, protocol=Protocol.UDP
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://ca.example:14000/dir",
        "http://localhost:14000/dir",
        "http://127.0.0.3/dir",
        "http://[::1]:14000/dir",
        "HTTPS://ca.example/dir",
    ],
)
def test_a_server_is_https_or_on_this_machine(url):
    assert read(an_issuer_body(server=url)).server == url


def test_without_solvers_an_account_can_be_registered():
    assert read(an_issuer_body(solvers=None)).solvers == ()


PATH = "spec.acme.solvers[0]"
DNS01 = f"{PATH}.dns01"

WRONG_ACME = {
    "no server": ({"server": ""}, "spec.acme.server", "not the URL of an ACME directory"),
    "a server that is no URL": ({"server": "letsencrypt"}, "spec.acme.server", "not the URL"),
    "a server on another scheme": ({"server": "ftp://ca.example/dir"}, "spec.acme.server", "not the URL"),
    "a server without a host": ({"server": "https:///dir"}, "spec.acme.server", "not the URL"),
    "a server with a bad port": (
        {"server": "https://ca.example:99999/dir"},
        "spec.acme.server",
        "not the URL",
    ),
    "a server with a bad address": ({"server": "https://[::1/dir"}, "spec.acme.server", "not the URL"),
    "a server with a blank": ({"server": "https://ca.example/a dir"}, "spec.acme.server", "not the URL"),
    "a server with a password": (
        {"server": "https://u:hunter2@ca.example/dir"},
        "spec.acme.server",
        "user name or password",
    ),
    "a server over http": ({"server": "http://ca.example/dir"}, "spec.acme.server", "must be https"),
    "ACME v1": ({"server": "https://acme-v01.api.letsencrypt.org/directory"}, "spec.acme.server", "acme-v02"),
    "ACME v1 staging": (
        {"server": "https://acme-staging.api.letsencrypt.org/directory"},
        "spec.acme.server",
        "ACME v1",
    ),
    "no account key": ({"privateKeySecretRef": {}}, "spec.acme.privateKeySecretRef.name", "required"),
    "an empty account key": (
        {"privateKeySecretRef": {"name": ""}},
        "spec.acme.privateKeySecretRef.name",
        "required",
    ),
    "an account key that is a path": (
        {"privateKeySecretRef": {"name": "a", "key": "../b"}},
        "spec.acme.privateKeySecretRef.key",
        "no key",
    ),
    "a bad e-mail address": ({"email": "ops at example.com"}, "spec.acme.email", "not an e-mail address"),
    "two e-mail addresses": (
        {"email": "a@example.com,b@example.com"},
        "spec.acme.email",
        "not an e-mail address",
    ),
    "a long chain": ({"preferredChain": "x" * 65}, "spec.acme.preferredChain", "longer than 64"),
    "a bundle that is PEM": ({"caBundle": "-----BEGIN CERTIFICATE-----"}, "spec.acme.caBundle", "base64"),
    "a bundle of nothing": ({"caBundle": "aGVsbG8="}, "spec.acme.caBundle", "no PEM certificates"),
    "a bundle of bytes": ({"caBundle": "//79"}, "spec.acme.caBundle", "no PEM certificates"),
    "a bundle that is not looked at": (
        {"caBundle": "aGVsbG8=", "skipTLSVerify": True},
        "spec.acme.caBundle",
        "skipTLSVerify",
    ),
    "EAB without an id": (
        {"externalAccountBinding": {"keySecretRef": TOKEN}},
        "spec.acme.externalAccountBinding.keyID",
        "required",
    ),
    "EAB with an empty id": (
        {"externalAccountBinding": {"keyID": "", "keySecretRef": TOKEN}},
        "spec.acme.externalAccountBinding.keyID",
        "required",
    ),
    "EAB without a key": (
        {"externalAccountBinding": {"keyID": "a"}},
        "spec.acme.externalAccountBinding.keySecretRef",
        "required",
    ),
    "EAB without a name": (
        {"externalAccountBinding": {"keyID": "a", "keySecretRef": {"key": "k"}}},
        "spec.acme.externalAccountBinding.keySecretRef.name",
        "required",
    ),
    "EAB without the Secret's key": (
        {"externalAccountBinding": {"keyID": "a", "keySecretRef": {"name": "n"}}},
        "spec.acme.externalAccountBinding.keySecretRef.key",
        "required",
    ),
    "an unknown EAB algorithm": (
        {"externalAccountBinding": {"keyID": "a", "keySecretRef": TOKEN, "keyAlgorithm": "MD5"}},
        "spec.acme.externalAccountBinding.keyAlgorithm",
        "must be",
    ),
    "an unknown source": (
        {"renewalInformationSource": "Ari"},
        "spec.acme.renewalInformationSource",
        "'ARI' or 'None'",
    ),
    "an unknown field": ({"emial": "a@example.com"}, "spec.acme.emial", "not a known field"),
    "solvers as a mapping": ({"solvers": {"http01": {}}}, "spec.acme.solvers", "must be a list"),
    "a null solver": ({"solvers": [None]}, PATH, "must be a mapping"),
    "an empty solver": ({"solvers": [{}]}, PATH, "needs one of http01 and dns01"),
    "a solver of both kinds": (
        {"solvers": [{"http01": {"ingress": {}}, "dns01": {"cloudflare": {"apiTokenSecretRef": TOKEN}}}]},
        PATH,
        "only one of http01 and dns01",
    ),
    "http01 of nothing": ({"solvers": [{"http01": {}}]}, f"{PATH}.http01", "needs ingress"),
    "http01 of two kinds": (
        {"solvers": [{"http01": {"ingress": {}, "gatewayHTTPRoute": {}}}]},
        f"{PATH}.http01",
        "only one of",
    ),
    "an unknown challenge": ({"solvers": [{"tlsalpn01": {}}]}, f"{PATH}.tlsalpn01", "not a known field"),
    "a negative wait": (
        {"solvers": [{"http01": {"ingress": {}}, "waitInsteadOfSelfCheck": "-1s"}]},
        f"{PATH}.waitInsteadOfSelfCheck",
        "negative",
    ),
    "a bad selector": (
        {"solvers": [{"http01": {"ingress": {}}, "selector": {"dnsNames": ["a_b"]}}]},
        f"{PATH}.selector.dnsNames[0]",
        "no DNS name",
    ),
    "a wildcard zone": (
        {"solvers": [{"http01": {"ingress": {}}, "selector": {"dnsZones": ["*.a.b"]}}]},
        f"{PATH}.selector.dnsZones[0]",
        "zone",
    ),
    "a selector label in two lines": (
        {"solvers": [{"http01": {"ingress": {}}, "selector": {"matchLabels": {"a": "b\nc"}}}]},
        f"{PATH}.selector.matchLabels.a",
        "one line",
    ),
}


@pytest.mark.parametrize(("acme", "path", "says"), WRONG_ACME.values(), ids=WRONG_ACME.keys())
def test_wrong_acme_is_refused_with_its_path(acme, path, says):
    error = refusal(an_issuer_body(**acme))

    assert (error.path, says in error.reason) == (path, True), str(error)
    assert "hunter2" not in str(error)


@pytest.mark.parametrize("field", ["server", "privateKeySecretRef"])
def test_what_is_required_is_named(field):
    error = refusal(without(an_issuer_body(), "spec", "acme", field))

    assert (error.path, error.reason) == (f"spec.acme.{field}", "is required")


@pytest.mark.parametrize(
    ("ingress", "path", "says"),
    [
        ({"class": "a", "name": "b"}, "", "only one of ingressClassName, class and name"),
        ({"class": "a", "ingressClassName": "b"}, "", "only one of"),
        ({"ingressClassName": "azure/gateway"}, ".ingressClassName", "no name for an object"),
        ({"name": "Web_1"}, ".name", "no name for an object"),
        ({"serviceType": "LoadBalancer"}, ".serviceType", "'ClusterIP' or 'NodePort'"),
    ],
)
def test_a_wrong_ingress_solver_is_refused_with_its_path(ingress, path, says):
    error = refusal(with_solver(http01={"ingress": ingress}))

    assert (error.path, says in error.reason) == (f"{PATH}.http01.ingress{path}", True), str(error)


WRONG_DNS01 = {
    "no provider": ({}, "", "needs a provider"),
    "only a null one": ({"rfc2136": None}, "", "needs a provider"),
    "two providers": (
        {"rfc2136": {"nameserver": "192.0.2.1"}, "cloudflare": {"apiTokenSecretRef": TOKEN}},
        "",
        "only one provider",
    ),
    "two providers that are not acted on": (
        {"digitalocean": {"tokenSecretRef": TOKEN}, "acmeDNS": {"host": "a", "accountSecretRef": TOKEN}},
        "",
        "only one",
    ),
    "an unknown provider": ({"gandi": {}}, ".gandi", "not a known field"),
    "an unknown strategy": (
        {"cnameStrategy": "follow", "rfc2136": {"nameserver": "192.0.2.1"}},
        ".cnameStrategy",
        "'None' or 'Follow'",
    ),
    "a name server without a port": (
        {"nameservers": ["192.0.2.1"], "rfc2136": {"nameserver": "192.0.2.1"}},
        ".nameservers[0]",
        "has no port",
    ),
    "a DoH server without a host": (
        {"nameservers": ["https://"], "rfc2136": {"nameserver": "192.0.2.1"}},
        ".nameservers[0]",
        "DNS-over-HTTPS",
    ),
    "a DoH server with a bad host": (
        {"nameservers": ["https://[a"], "rfc2136": {"nameserver": "192.0.2.1"}},
        ".nameservers[0]",
        "DNS-over-HTTPS",
    ),
    "a name server over http": (
        {"nameservers": ["http://a/"], "rfc2136": {"nameserver": "192.0.2.1"}},
        ".nameservers[0]",
        "no address",
    ),
    "no name server": ({"rfc2136": {}}, ".rfc2136.nameserver", "required"),
    "an empty name server": ({"rfc2136": {"nameserver": ""}}, ".rfc2136.nameserver", "no address"),
    "a name server by no name": (
        {"rfc2136": {"nameserver": "ns_1.example.com:53"}},
        ".rfc2136.nameserver",
        "no DNS name",
    ),
    "a name server with a bad port": (
        {"rfc2136": {"nameserver": "192.0.2.1:dns"}},
        ".rfc2136.nameserver",
        "no address",
    ),
    "a TSIG name without a secret": (
        {"rfc2136": {"nameserver": "192.0.2.1", "tsigKeyName": "k"}},
        ".rfc2136.tsigSecretSecretRef",
        "required",
    ),
    "a TSIG secret without a name": (
        {"rfc2136": {"nameserver": "192.0.2.1", "tsigSecretSecretRef": TOKEN}},
        ".rfc2136.tsigKeyName",
        "required",
    ),
    "a TSIG name that is none": (
        {"rfc2136": {"nameserver": "192.0.2.1", "tsigKeyName": "a b", "tsigSecretSecretRef": TOKEN}},
        ".rfc2136.tsigKeyName",
        "not a valid name of a key",
    ),
    "an unknown TSIG algorithm": (
        {"rfc2136": {"nameserver": "192.0.2.1", "tsigAlgorithm": "HMACSHA3"}},
        ".rfc2136.tsigAlgorithm",
        "HMACMD5",
    ),
    "an unknown protocol": (
        {"rfc2136": {"nameserver": "192.0.2.1", "protocol": "udp"}},
        ".rfc2136.protocol",
        "'UDP' or 'TCP'",
    ),
    "Cloudflare without a credential": (
        {"cloudflare": {"email": "a@example.com"}},
        ".cloudflare",
        "exactly one of",
    ),
    "Cloudflare with both": (
        {"cloudflare": {"email": "a@b.c", "apiKeySecretRef": TOKEN, "apiTokenSecretRef": TOKEN}},
        ".cloudflare",
        "exactly one of",
    ),
    "a Cloudflare key without an e-mail address": (
        {"cloudflare": {"apiKeySecretRef": TOKEN}},
        ".cloudflare.email",
        "required",
    ),
    "a Cloudflare token in clear": (
        {"cloudflare": {"apiToken": "hunter2"}},
        ".cloudflare.apiToken",
        "not a known field",
    ),
    "a Secret without a key": (
        {"cloudflare": {"apiTokenSecretRef": {"name": "a"}}},
        ".cloudflare.apiTokenSecretRef.key",
        "required",
    ),
    "Route 53 with both": (
        {"route53": {"accessKeyID": "a", "accessKeyIDSecretRef": TOKEN}},
        ".route53",
        "only one of",
    ),
    "Azure without a secret": (
        {"azureDNS": {"subscriptionID": "s", "resourceGroupName": "g", "clientID": "c"}},
        ".azureDNS",
        "clientID, clientSecretSecretRef and tenantID together",
    ),
    "Azure without a subscription": (
        {"azureDNS": {"resourceGroupName": "g"}},
        ".azureDNS.subscriptionID",
        "required",
    ),
    "Azure with two identities": (
        {
            "azureDNS": {
                "subscriptionID": "s",
                "resourceGroupName": "g",
                "managedIdentity": {"clientID": "c", "resourceID": "r"},
            }
        },
        ".azureDNS.managedIdentity",
        "only one of",
    ),
    "an unknown Azure": (
        {"azureDNS": {"subscriptionID": "s", "resourceGroupName": "g", "environment": "Moon"}},
        ".azureDNS.environment",
        "must be",
    ),
    "Akamai without a token": (
        {"akamai": {"serviceConsumerDomain": "a"}},
        ".akamai.clientTokenSecretRef",
        "required",
    ),
    "Cloud DNS without a project": ({"cloudDNS": {}}, ".cloudDNS.project", "required"),
    "acme-dns without a host": ({"acmeDNS": {"accountSecretRef": TOKEN}}, ".acmeDNS.host", "required"),
    "a webhook without a solver": ({"webhook": {"groupName": "a"}}, ".webhook.solverName", "required"),
}


@pytest.mark.parametrize(("dns01", "path", "says"), WRONG_DNS01.values(), ids=WRONG_DNS01.keys())
def test_a_wrong_dns01_solver_is_refused_with_its_path(dns01, path, says):
    error = refusal(with_dns01(**dns01))

    assert (error.path, says in error.reason) == (f"{DNS01}{path}", True), str(error)
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("acme", "path"),
    [
        (
            {
                "solvers": [
                    {
                        "http01": {
                            "gatewayHTTPRoute": {
                                "labels": {"a": "b"},
                                "parentRefs": [{"kind": "Gateway", "name": "g"}],
                            }
                        }
                    }
                ]
            },
            f"{PATH}.http01.gatewayHTTPRoute",
        ),
        *(
            ({"solvers": [{"dns01": {name: provider}}]}, f"{DNS01}.{name}")
            for name, provider in {
                "akamai": {
                    "serviceConsumerDomain": "a",
                    "clientTokenSecretRef": TOKEN,
                    "clientSecretSecretRef": TOKEN,
                    "accessTokenSecretRef": TOKEN,
                },
                "cloudDNS": {"project": "p", "serviceAccountSecretRef": TOKEN},
                "route53": {
                    "region": "eu-west-1",
                    "auth": {"kubernetes": {"serviceAccountRef": {"name": "a", "audiences": ["x"]}}},
                },
                "azureDNS": {
                    "subscriptionID": "s",
                    "resourceGroupName": "g",
                    "managedIdentity": {"clientID": "c", "tenantID": "t"},
                },
                "digitalocean": {"tokenSecretRef": TOKEN},
                "acmeDNS": {"host": "https://auth.example", "accountSecretRef": TOKEN},
                "webhook": {"groupName": "a.example", "solverName": "x", "config": {"anything": [1, {}]}},
            }.items()
        ),
    ],
)
def test_what_certmill_does_not_act_on_is_refused_and_never_ignored(acme, path):
    error = refusal(an_issuer_body(**acme))

    assert error.path == path
    assert error.reason.startswith("certmill does not act on this yet; ")


@pytest.mark.parametrize("kind", ["ca", "selfSigned", "vault", "venafi"])
def test_only_acme_issuers_are_known(kind):
    other = an_issuer_body() | {"spec": {kind: {"secretName": "x"}}}
    both = an_issuer_body()
    both["spec"][kind] = {}

    assert refusal(other).path == f"spec.{kind}"
    assert refusal(both).path == f"spec.{kind}"


def test_an_issuer_of_no_kind_is_refused():
    assert refusal(an_issuer_body() | {"spec": {}}).path == "spec.acme"


@pytest.mark.parametrize(
    "algorithm", ["RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-256", "ECDSA-384", "ECDSA-521"]
)
def test_the_account_keys_algorithm_is_an_annotation(algorithm):
    body = an_issuer_body()
    body["metadata"]["annotations"] = {"certmill.io/account-key-algorithm": algorithm}

    assert read(body).account_key_algorithm == algorithm


@pytest.mark.parametrize(
    "annotations",
    [{"certmill.io/account-key-algorithm": "RSA-1024"}, {"certmill.io/account-key-algoritm": "RSA-4096"}],
)
def test_a_wrong_annotation_of_ours_is_refused(annotations):
    body = an_issuer_body()
    body["metadata"]["annotations"] = annotations

    assert refusal(body).path == f"metadata.annotations[{next(iter(annotations))}]"


def test_an_error_is_an_invalid_manifest_with_its_source():
    error = refusal(an_issuer_body(server="x"))

    assert isinstance(error, InvalidManifest)
    assert error.source == "issuer.yaml"
    assert str(error).startswith("issuer.yaml: spec.acme.server: ")
