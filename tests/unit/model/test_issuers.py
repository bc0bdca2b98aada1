"""Issuers and ClusterIssuers: what is read, by which rules, and what is refused."""

from __future__ import annotations

import base64
import datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certmill.dns01.providers.cloudflare import Cloudflare
from certmill.dns01.providers.rfc2136 import Protocol, Rfc2136, TsigAlgorithm
from certmill.errors import InvalidManifest
from certmill.model.issuer import (
    Dns01Solver,
    ExternalAccountBinding,
    Http01Solver,
    IngressTemplate,
    Issuer,
    SecretKeyRef,
    Selector,
    Solver,
)
from certmill.model.manifests.parse import dump_yaml, parse_documents
from certmill.model.rate_limit import LimitName, RateLimit
from tests.support.certificates import a_leaf, as_pem, x509_name
from tests.support.go_issuer_bodies import GO_WRITES
from tests.support.issuer_bodies import (
    DNS01,
    PATH,
    TOKEN,
    WRONG_ACME,
    WRONG_DNS01,
    with_dns01,
    with_rfc2136,
    with_solver,
)
from tests.support.manifest_bodies import DOCUMENTED, an_issuer_body, without

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


@pytest.fixture(scope="module")
def root_pem():
    return as_pem(a_leaf(ec.generate_private_key(ec.SECP256R1()), subject=x509_name("root"), issuer="root"))


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
        uses_ari=False,
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


@pytest.mark.parametrize("body", GO_WRITES.values(), ids=GO_WRITES.keys())
def test_what_gos_clients_write_for_what_is_not_set_is_as_good_as_nothing(body):
    assert read(body) in (read(an_issuer_body()), read(with_rfc2136()))


def test_an_empty_reference_hides_no_mistyped_field():
    assert (
        refusal(with_rfc2136(tsigSecretSecretRef={"name": "", "kye": "a"})).path
        == f"{DNS01}.rfc2136.tsigSecretSecretRef.kye"
    )


@pytest.mark.parametrize(("body", "refused"), DOCUMENTED.values(), ids=DOCUMENTED.keys())
def test_every_example_of_cert_managers_manual_is_read_unless_it_is_not_supported(body, refused):
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
        ({"ingressClassName": "azure/gateway"}, ".ingressClassName", "not a valid object name"),
        ({"name": "Web_1"}, ".name", "not a valid object name"),
        ({"serviceType": "LoadBalancer"}, ".serviceType", "'ClusterIP' or 'NodePort'"),
    ],
)
def test_a_wrong_ingress_solver_is_refused_with_its_path(ingress, path, says):
    error = refusal(with_solver(http01={"ingress": ingress}))

    assert (error.path, says in error.reason) == (f"{PATH}.http01.ingress{path}", True), str(error)


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


def test_the_rate_limits_are_an_annotation():
    body = an_issuer_body()
    body["metadata"]["annotations"] = {"certmill.io/rate-limits": "new-orders-per-account=9/1h"}

    assert read(body).rate_limits == {LimitName.NEW_ORDERS: RateLimit(count=9, seconds=3600)}


@pytest.mark.parametrize(
    "annotations",
    [
        {"certmill.io/account-key-algorithm": "RSA-1024"},
        {"certmill.io/account-key-algoritm": "RSA-4096"},
        {"certmill.io/rate-limits": "new-orders-per-account=many"},
    ],
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
