"""certmill's CRDs on a real API server: cert-manager's fields, columns, names and rules, with no webhook.

What the server says is what kubectl prints; requests are made as kubectl makes them (fieldValidation=Strict).
"""

from __future__ import annotations

import copy
import json
import re
import secrets

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from certmill.model.manifests.certificate.schema import CertificateSpec
from certmill.model.manifests.issuer.schema import IssuerSpec
from certmill.model.manifests.parse import certificate_document, dump_yaml, parse_documents
from compose.servers.cluster.kubernetes import KubeApiServer
from compose.yaml_loader import load_document
from tests.controller.any_manifests import FIELD, ONLY_IN_CERTMILL, any_certificates, any_issuers
from tests.controller.crd_manifests import (
    FULL_CERTIFICATE,
    FULL_ISSUER,
    FULL_ISSUER_STATUS,
    FULL_STATUS,
    GOOD_CERTIFICATES,
    GOOD_ISSUERS,
    OTHER_ISSUERS,
    WRONG,
    with_dns01,
    with_ingress,
    with_spec,
)
from tests.support.certificate_bodies import WRONG_SPECS
from tests.support.certificate_strategies import certificates
from tests.support.cluster import CRDS
from tests.support.go_issuer_bodies import GO_WRITES
from tests.support.issuer_bodies import WRONG_ACME, WRONG_DNS01
from tests.support.manifest_bodies import DOCUMENTED, a_certificate_body, an_issuer_body
from tests.support.tutorial_manifests import DNS01, HTTP01
from tests.support.waiting import until

API = "/apis/cert-manager.io/v1"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def path_of(body, namespace):
    """Where objects of this kind are, in a namespace if they are in any."""
    plural = f"{body['kind'].lower()}s"
    return f"{API}/{plural}" if body["kind"] == "ClusterIssuer" else f"{API}/namespaces/{namespace}/{plural}"


def placed(body, namespace):
    """A copy under a name of its own, in the namespace."""
    metadata = {"name": f"{body['metadata']['name']}-{secrets.token_hex(4)}"}
    return copy.deepcopy(body) | {
        "metadata": metadata if body["kind"] == "ClusterIssuer" else metadata | {"namespace": namespace}
    }


@pytest.fixture
def ask(kube, namespace):
    """Ask whether an object would be taken, as `kubectl apply --dry-run=server` does."""

    def ask(body):
        body = placed(body, namespace)
        return kube.api.request("POST", f"{path_of(body, namespace)}?dryRun=All&fieldValidation=Strict", body)

    return ask


@pytest.fixture
def create(kube, namespace):
    """Create an object; its path and what came of it."""

    def create(body):
        body = placed(body, namespace)
        answer = kube.api.request("POST", f"{path_of(body, namespace)}?fieldValidation=Strict", body)
        assert answer.is_ok, answer.message
        return f"{path_of(body, namespace)}/{body['metadata']['name']}", answer.body

    return create


def parser_refusals(body):
    documents, wrong = parse_documents(dump_yaml(body), source="x.yaml")
    return [] if documents else wrong


# ------------------------------------------------------------
# rules


@pytest.mark.parametrize(("body", "field", "says"), WRONG.values(), ids=WRONG.keys())
def test_a_bad_manifest_is_refused_and_the_message_names_the_field(ask, body, field, says):
    answer = ask(body)

    assert answer.status == 422
    assert f"{field}: " in answer.message
    assert says in answer.message
    assert "rule" not in answer.message.replace(
        "some validation rules were not checked", ""
    )  # no rule broke down
    assert "hunter2" not in answer.message


@pytest.mark.parametrize("body", [body for body, _, _ in WRONG.values()], ids=WRONG.keys())
def test_certmill_itself_refuses_it_too(body):
    assert parser_refusals(body)


# cert-manager takes these, so they are no business of the CRD; what certmill cannot do with them it says in
# the status. (A bundle without certificates its webhook refuses: to look into one is beyond what a rule may
# cost.)
ONLY_FOR_ACME = {
    "a common name alone",
    "a common name that is no other name",
    "a common name of words",
    "a bad name",
    "an address among the names",
    "101 names",
    "100 names and an address",
    "101 addresses",
    "encipher only alone",
    "a bad country",
    "an empty organization",
    "two lines",
    "a serial number that X.520 does not know",
    "a literal subject of an unknown attribute",
    "a literal subject's common name that is no other name",
    "a literal subject's long common name",
    "a literal subject's bad country",
    "a literal subject alone",
}
ONLY_FOR_CERTMILL = {
    "a server with a bad port",
    "a server with a blank",
    "a server with a password",
    "a server over http",
    "ACME v1",
    "ACME v1 staging",
    "an account key that is a path",
    "a bundle of nothing",
    "a bundle of bytes",
    "a bad e-mail address",
    "two e-mail addresses",
    "a bad selector",
    "a wildcard zone",
    "a selector label in two lines",
    "a name server by no name",
    "a TSIG name that is none",
}


def refused_by_certmill():
    """(manifest, whether the API server takes it) of each that certmill's own tests refuse, by name."""
    yield from (
        (name, a_certificate_body(**spec), name in ONLY_FOR_ACME)
        for name, (spec, _, _) in WRONG_SPECS.items()
    )
    yield from (
        (f"issuer: {name}", an_issuer_body(**acme), name in ONLY_FOR_CERTMILL)
        for name, (acme, _, _) in WRONG_ACME.items()
    )
    yield from (
        (f"DNS-01: {name}", with_dns01(**dns01), name in ONLY_FOR_CERTMILL)
        for name, (dns01, _, _) in WRONG_DNS01.items()
    )


REFUSED_BY_CERTMILL = {name: (body, is_taken) for name, body, is_taken in refused_by_certmill()}


@pytest.mark.parametrize(("body", "is_taken"), REFUSED_BY_CERTMILL.values(), ids=REFUSED_BY_CERTMILL.keys())
def test_what_certmill_refuses_kubectl_refuses_unless_cert_manager_takes_it(ask, body, is_taken):
    answer = ask(body)

    assert answer.is_ok is is_taken, answer.message


@pytest.mark.parametrize("spec", GOOD_CERTIFICATES.values(), ids=GOOD_CERTIFICATES.keys())
def test_a_valid_certificate_is_accepted(ask, spec):
    answer = ask(a_certificate_body(**spec))

    assert answer.is_ok, answer.message


@pytest.mark.parametrize("body", GOOD_ISSUERS.values(), ids=GOOD_ISSUERS.keys())
@pytest.mark.parametrize("kind", ["Issuer", "ClusterIssuer"])
def test_a_valid_issuer_is_accepted(ask, body, kind):
    answer = ask(body | {"kind": kind})

    assert answer.is_ok, answer.message


@pytest.mark.parametrize("body", [body for body, _ in DOCUMENTED.values()], ids=DOCUMENTED.keys())
def test_every_example_of_cert_managers_manual_is_taken_as_printed(ask, body):
    answer = ask(body)

    assert answer.is_ok, answer.message


@pytest.mark.parametrize("body", GO_WRITES.values(), ids=GO_WRITES.keys())
def test_objects_written_by_go_clients_are_accepted(ask, body):
    answer = ask(body)

    assert answer.is_ok, answer.message


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(certificate=certificates())
def test_every_certificate_that_certmill_takes_is_taken(ask, certificate):
    answer = ask(certificate_document(certificate))

    assert answer.is_ok, answer.message


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=any_issuers() | any_certificates())
def test_certmill_and_the_crds_refuse_the_same_but_for_certmills_own_reasons(ask, body):
    """Its own reasons: what it does not act on, and the rules of ACME, of TLS and of its own safety that are
    no business of a CRD."""
    answer = ask(body)

    refusals = parser_refusals(body)

    assert answer.is_ok or refusals, answer.message
    assert not answer.is_ok or all(
        re.search("does not act on|an ACME CA can", str(one)) or FIELD.sub("", one.path) in ONLY_IN_CERTMILL
        for one in refusals
    ), refusals


@pytest.mark.parametrize("text", [HTTP01, DNS01], ids=["HTTP-01", "DNS-01"])
def test_the_tutorials_issuers_are_taken_as_printed(create, text):
    (issuer,) = (document for document in yaml.safe_load_all(text) if document["kind"] == "ClusterIssuer")

    _, created = create(issuer)

    assert created["spec"] == issuer["spec"]
    assert not parser_refusals(issuer)


def test_a_mistyped_field_is_named(ask):
    assert 'unknown field "spec.dnsName"' in ask(a_certificate_body(dnsName=["a.example"])).message


def test_several_mistakes_are_reported_at_once(ask):
    message = ask(a_certificate_body(duration="1m", renewBeforePercentage=0, ipAddresses=["x"])).message

    assert all(
        field in message for field in ("spec.duration", "spec.renewBeforePercentage", "spec.ipAddresses[0]")
    )


def test_a_rule_also_holds_for_an_update(kube, create):
    path, _ = create(a_certificate_body())

    answer = kube.api.request(
        "PATCH", path, {"spec": {"duration": "5m"}}, content_type="application/merge-patch+json"
    )

    assert answer.status == 422
    assert "spec.duration" in answer.message


def without_rules(schema):
    """A copy of a schema, or of a part of one, without its rules."""
    if isinstance(schema, dict):
        return {
            key: without_rules(value) for key, value in schema.items() if key != "x-kubernetes-validations"
        }
    return [without_rules(value) for value in schema] if isinstance(schema, list) else schema


@pytest.fixture
def older(kube_programs, tmp_path):
    """An API server whose Certificates have their fields but no rules, as cert-manager's own."""
    with KubeApiServer(directory=tmp_path / "server") as server:
        file = tmp_path / "certificates.yaml"
        file.write_text(yaml.safe_dump(without_rules(crd("certificates"))))
        server.api.install_crds([file])
        yield server


def test_the_status_of_an_object_older_than_the_rules_can_still_say_what_is_wrong(older):
    """Else the controller of somebody who moves over could not even say why."""
    certificates = f"{API}/namespaces/default/certificates"
    body = a_certificate_body(duration="5m", privateKey={"size": 1024}) | {"metadata": {"name": "old"}}
    assert older.api.request("POST", certificates, body).is_ok
    older.api.install_crds(CRDS)
    until(lambda: not older.api.request("POST", certificates, body | {"metadata": {"name": "new"}}).is_ok)

    status = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    merge = "application/merge-patch+json"

    assert older.api.request("PATCH", f"{certificates}/old/status", status, content_type=merge).is_ok
    labels = {"metadata": {"labels": {"a": "b"}}}
    assert older.api.request("PATCH", f"{certificates}/old", labels, content_type=merge).is_ok
    worse = older.api.request(
        "PATCH", f"{certificates}/old", {"spec": {"duration": "6m"}}, content_type=merge
    )
    assert "spec.duration" in worse.message


# ------------------------------------------------------------
# fields


def test_a_certificate_keeps_every_field(kube, create):
    path, _ = create(FULL_CERTIFICATE)

    assert kube.api.request("GET", path).body["spec"] == FULL_CERTIFICATE["spec"]


@pytest.mark.parametrize("kind", ["Issuer", "ClusterIssuer"])
def test_an_issuer_keeps_every_field(kube, create, kind):
    path, _ = create(FULL_ISSUER | {"kind": kind})

    assert kube.api.request("GET", path).body["spec"] == FULL_ISSUER["spec"]


@pytest.mark.parametrize("type_", OTHER_ISSUERS)
@pytest.mark.parametrize("kind", ["Issuer", "ClusterIssuer"])
def test_an_issuer_that_certmill_does_not_act_on_keeps_every_field(create, kind, type_):
    _, created = create(with_spec(**{type_: OTHER_ISSUERS[type_]}) | {"kind": kind})

    assert created["spec"] == {type_: OTHER_ISSUERS[type_]}


def test_a_parent_ref_is_a_gateway_by_default(create):
    issuer = an_issuer_body(solvers=[{"http01": {"gatewayHTTPRoute": {"parentRefs": [{"name": "g"}]}}}])

    _, created = create(issuer)

    (ref,) = created["spec"]["acme"]["solvers"][0]["http01"]["gatewayHTTPRoute"]["parentRefs"]
    assert ref == {"name": "g", "kind": "Gateway", "group": "gateway.networking.k8s.io"}


def test_nothing_else_has_a_default(create):
    bodies = [
        a_certificate_body(),
        an_issuer_body(),
        with_ingress(),
        with_dns01(rfc2136={"nameserver": "192.0.2.53"}),
    ]

    assert [create(body)[1]["spec"] for body in bodies] == [body["spec"] for body in bodies]


def crd(plural):
    (file,) = (file for file in CRDS if file.name == f"{plural}.yaml")
    return load_document(file.read_text())


def schema_of(plural):
    (version,) = crd(plural)["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]["properties"]


def crd_paths(schema, path=""):
    """Every field of a structural schema, as a.b.c; a list's and a map's items are its own."""
    while "items" in schema:
        schema = schema["items"]
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from crd_paths(inner, f"{path}.{name}")


def parser_paths(schema, definitions, path=""):
    """The same of a JSON schema by pydantic."""
    for choice in (schema, *schema.get("anyOf", ())):
        if "$ref" in choice:
            yield from parser_paths(definitions[choice["$ref"].rpartition("/")[2]], definitions, path)
        elif "items" in choice:
            yield from parser_paths(choice["items"], definitions, path)
        for name, inner in choice.get("properties", {}).items():
            yield f"{path}.{name}"
            yield from parser_paths(inner, definitions, f"{path}.{name}")


# The parser takes these parts of a Pod as they come: it does nothing with them.
AS_THEY_COME = (".tolerations.", ".seLinuxOptions.", ".sysctls.", ".seccompProfile.")


@pytest.mark.parametrize(("plural", "model"), [("certificates", CertificateSpec), ("issuers", IssuerSpec)])
def test_a_crd_has_the_fields_that_certmill_reads_and_no_others(plural, model):
    schema = model.model_json_schema(by_alias=True)
    of_crd = {
        path
        for path in crd_paths(schema_of(plural)["spec"])
        if not any(part in path for part in AS_THEY_COME)
    }

    assert of_crd == set(parser_paths(schema, schema["$defs"]))


def test_issuers_and_cluster_issuers_differ_in_name_and_scope_only():
    issuers, cluster_issuers = crd("issuers")["spec"], crd("clusterissuers")["spec"]
    for one in (issuers, cluster_issuers):
        root = one["versions"][0]["schema"]["openAPIV3Schema"]
        del root["description"], root["properties"]["kind"], one["names"]

    assert issuers.pop("scope") == "Namespaced"
    assert cluster_issuers.pop("scope") == "Cluster"
    assert issuers == cluster_issuers


def undescribed(schema, path):
    """Fields that kubectl explain would say nothing about."""
    while "items" in schema:
        schema = schema["items"]
    for name, inner in schema.get("properties", {}).items():
        if not inner.get("description") and f"{path}.{name}" != ".metadata":
            yield f"{path}.{name}"
        yield from undescribed(inner, f"{path}.{name}")


@pytest.mark.parametrize("plural", ["certificates", "issuers", "clusterissuers"])
def test_kubectl_explain_has_something_to_say_of_every_field(plural):
    assert list(undescribed({"properties": schema_of(plural)}, "")) == []


@pytest.mark.parametrize("plural", ["certificates", "issuers", "clusterissuers"])
def test_a_crd_is_marked_as_ours_and_is_kept_by_helm(plural):
    metadata = crd(plural)["metadata"]

    assert metadata["labels"] == {"app.kubernetes.io/name": "certmill"}
    assert metadata["annotations"] == {"helm.sh/resource-policy": "keep"}


# ------------------------------------------------------------
# status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (FULL_CERTIFICATE, FULL_STATUS),
        (FULL_ISSUER | {"kind": "Issuer"}, FULL_ISSUER_STATUS),
        (FULL_ISSUER, FULL_ISSUER_STATUS),
    ],
    ids=["Certificate", "Issuer", "ClusterIssuer"],
)
def test_status_is_a_subresource_of_its_own(kube, create, body, status):
    path, created = create(body | {"status": status})
    assert "status" not in created

    changed = copy.deepcopy(created) | {"status": status}
    changed["spec"] = (
        a_certificate_body()["spec"] if body["kind"] == "Certificate" else an_issuer_body()["spec"]
    )
    answer = kube.api.request("PUT", f"{path}/status?fieldValidation=Strict", changed)
    assert answer.is_ok, answer.message

    now = kube.api.request("GET", path).body
    assert now["status"] == status
    assert now["spec"] == body["spec"]
    assert now["metadata"]["generation"] == 1

    without_status = {key: value for key, value in now.items() if key != "status"}
    assert kube.api.request("PUT", path, without_status).body["status"] == status


def test_conditions_of_two_writers_are_merged_by_their_types(kube, create):
    path, created = create(a_certificate_body())
    head = {"apiVersion": created["apiVersion"], "kind": created["kind"]}

    for type_ in ("Ready", "Issuing"):
        body = head | {"status": {"conditions": [{"type": type_, "status": "True"}]}}
        kube.api.request(
            "PATCH", f"{path}/status?fieldManager={type_}", body, content_type="application/apply-patch+yaml"
        )

    assert {one["type"] for one in kube.api.request("GET", path).body["status"]["conditions"]} == {
        "Ready",
        "Issuing",
    }


# -------------------------------------------------------------------------------------------------- columns
# and discovery


def table_of(kube, path):
    table = kube.api.request("GET", path, accept=TABLE).body
    return table["columnDefinitions"], table["rows"]


COLUMNS = {
    "certificates": (
        ["Name", "Ready", "Secret", "Age"],
        ["Name", "Ready", "Secret", "Issuer", "Status", "Expiration", "Age"],
    ),
    "issuers": (["Name", "Ready", "Age"], ["Name", "Ready", "Status", "Age"]),
    "clusterissuers": (["Name", "Ready", "Age"], ["Name", "Ready", "Status", "Age"]),
}


@pytest.mark.parametrize(
    ("plural", "default", "wide"),
    [(plural, *columns) for plural, columns in COLUMNS.items()],
    ids=COLUMNS.keys(),
)
def test_kubectl_get_shows_cert_managers_columns_in_their_order(kube, plural, default, wide):
    columns, _ = table_of(kube, f"{API}/{plural}")

    assert [column["name"] for column in columns if column["priority"] == 0] == default
    assert [column["name"] for column in columns] == wide


def test_the_columns_of_a_certificate_are_filled_from_its_spec_and_status(kube, create, namespace):
    path, created = create(a_certificate_body())
    _, (row,) = table_of(kube, f"{API}/namespaces/{namespace}/certificates")
    name = created["metadata"]["name"]
    assert row["cells"][:-1] == [name, None, "web-tls", "ca", None, None]

    status = {"status": FULL_STATUS}
    kube.api.request("PATCH", f"{path}/status", status, content_type="application/merge-patch+json")

    _, (row,) = table_of(kube, f"{API}/namespaces/{namespace}/certificates")
    *cells, age = row["cells"]
    assert cells == [
        name,
        "True",
        "web-tls",
        "ca",
        "Certificate is up to date and has not expired",
        "2026-04-01T00:00:00Z",
    ]
    assert age.endswith("s")


def test_the_columns_of_an_issuer_are_filled_from_its_status(kube, create, namespace):
    path, created = create(an_issuer_body(kind="Issuer"))
    kube.api.request(
        "PATCH", f"{path}/status", {"status": FULL_ISSUER_STATUS}, content_type="application/merge-patch+json"
    )

    _, (row,) = table_of(kube, f"{API}/namespaces/{namespace}/issuers")

    assert row["cells"][:-1] == [created["metadata"]["name"], "True", "registered"]


@pytest.mark.parametrize(
    ("plural", "kind", "short_names", "is_namespaced"),
    [
        ("certificates", "Certificate", ["cert", "certs"], True),
        ("issuers", "Issuer", ["iss"], True),
        ("clusterissuers", "ClusterIssuer", ["ciss"], False),
    ],
)
def test_kubectl_knows_short_names_and_categories(kube, plural, kind, short_names, is_namespaced):
    resources = {one["name"]: one for one in kube.api.request("GET", API).body["resources"]}
    resource = resources[plural]

    assert (resource["kind"], resource["singularName"]) == (kind, kind.lower())
    assert (resource["shortNames"], resource["categories"], resource["namespaced"]) == (
        short_names,
        ["cert-manager"],
        is_namespaced,
    )
    assert set(resource["verbs"]) == {
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    }
    assert resources[f"{plural}/status"]["kind"] == kind


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("spec.issuerRef.name=blue", {"blue-issuer", "blue-cluster-issuer"}),
        ("spec.issuerRef.name=blue,spec.issuerRef.kind=ClusterIssuer", {"blue-cluster-issuer"}),
        ("spec.issuerRef.kind!=ClusterIssuer", {"blue-issuer", "other"}),
        ("spec.issuerRef.group=example.com", {"other"}),
        ("spec.issuerRef.name=none", set()),
    ],
)
def test_certificates_are_selected_by_their_issuer(kube, namespace, selector, expected):
    refs = {
        "blue-issuer": {"name": "blue"},
        "blue-cluster-issuer": {"name": "blue", "kind": "ClusterIssuer", "group": "cert-manager.io"},
        "other": {"name": "red", "kind": "Other", "group": "example.com"},
    }
    for name, ref in refs.items():
        body = a_certificate_body(issuerRef=ref) | {"metadata": {"name": name}}
        assert kube.api.request("POST", f"{API}/namespaces/{namespace}/certificates", body).is_ok

    answer = kube.api.request("GET", f"{API}/namespaces/{namespace}/certificates?fieldSelector={selector}")

    assert {item["metadata"]["name"] for item in answer.body["items"]} == expected, answer.message


def test_kubectl_explain_gets_the_rules_and_descriptions(kube):
    document = json.dumps(kube.api.request("GET", "/openapi/v3/apis/cert-manager.io/v1").body)

    assert "How long before its end it is renewed" in document
    assert "must be shorter than duration" in document
