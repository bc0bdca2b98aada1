"""Files of manifests: several documents, lists, kinds, and the manifests of the tutorial."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.dns01.providers.cloudflare import Cloudflare
from certmill.errors import InvalidManifest
from certmill.model.issuer import Dns01Solver, Http01Solver, Issuer, SecretKeyRef, Solver
from certmill.model.manifests.parse import Document, dump_yaml, parse_documents
from certmill.model.secret import Secret
from tests.support.manifest_bodies import a_certificate_body, a_secret_body, an_issuer_body, without
from tests.support.tutorial_manifests import DNS01, HTTP01

INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: cafe-ingress
  annotations:
    cert-manager.io/cluster-issuer: prod-issuer
spec:
  ingressClassName: nginx
  tls:
    - hosts: [cert.example.com]
      secretName: cafe-secret
"""

VIRTUAL_SERVER = """\
apiVersion: k8s.nginx.org/v1
kind: VirtualServer
metadata: {name: cafe}
spec:
  host: cert.example.com
  tls: {secret: cafe-secret, cert-manager: {cluster-issuer: prod-issuer}}
"""


def parse(*bodies, **options):
    return parse_documents("---\n".join(dump_yaml(body) for body in bodies), source="all.yaml", **options)


def test_the_tutorials_http_01_issuer_is_read():
    (document,), wrong = parse_documents(HTTP01, source="issuer.yaml")

    assert wrong == []
    assert (document.source, document.kind, document.namespace, document.name) == (
        "issuer.yaml",
        "ClusterIssuer",
        "",
        "prod-issuer",
    )
    assert isinstance(document.value, Issuer)
    assert document.value.solvers == (Solver(http01=Http01Solver(ingress_class="nginx")),)


def test_the_tutorials_dns_01_issuer_is_read_with_its_secret():
    (secret, issuer), wrong = parse_documents(DNS01, source="issuer.yaml")

    assert wrong == []
    assert (secret.source, issuer.source) == ("issuer.yaml#1", "issuer.yaml#2")
    assert secret.value == Secret(
        namespace="cert-manager", name="cloudflare-api-token-secret", data={"api-token": b"<the token>"}
    )
    assert isinstance(issuer.value, Issuer)
    token = SecretKeyRef(name="cloudflare-api-token-secret", key="api-token")
    assert issuer.value.solvers == (Solver(dns01=Dns01Solver(provider=Cloudflare(api_token=token))),)


@pytest.mark.parametrize(("text", "kind"), [(INGRESS, "Ingress"), (VIRTUAL_SERVER, "VirtualServer")])
def test_the_tutorials_other_kinds_are_refused_by_name(text, kind):
    documents, (error,) = parse_documents(text, source="web.yaml")

    assert documents == []
    assert (
        str(error) == f"web.yaml: kind: '{kind}' is not a kind that certmill reads; it reads Certificate, "
        "Issuer, ClusterIssuer, Secret and List"
    )


def test_one_bad_document_does_not_spoil_the_others():
    documents, wrong = parse(
        a_certificate_body(), a_certificate_body(dnsNames="foo"), an_issuer_body(), {"kind": "Certificate"}
    )

    assert [document.source for document in documents] == ["all.yaml#1", "all.yaml#3"]
    assert [str(error) for error in wrong] == [
        "all.yaml#2 (Certificate prod/web): spec.dnsNames: must be a list",
        "all.yaml#4: apiVersion: must be cert-manager.io/v1 for a Certificate",
    ]


def test_the_items_of_a_list_are_documents():
    listed = {
        "apiVersion": "v1",
        "kind": "List",
        "metadata": {"resourceVersion": ""},
        "items": [a_certificate_body(), a_certificate_body(usages=["x"]), a_secret_body()],
    }

    documents, (error,) = parse(listed)

    assert [document.kind for document in documents] == ["Certificate", "Secret"]
    assert (error.source, error.path) == ("all.yaml (Certificate prod/web)", "items[1].spec.usages[0]")


@pytest.mark.parametrize(
    ("metadata", "source"),
    [
        ({"name": "web", "namespace": "prod"}, "all.yaml#2 (Certificate prod/web)"),
        ({"name": "web", "namespace": "No Name"}, "all.yaml#2 (Certificate web)"),
        ({"name": "No\nName"}, "all.yaml#2"),
        ({"name": 7}, "all.yaml#2"),
        ("web", "all.yaml#2"),
    ],
)
def test_an_error_in_one_of_several_documents_names_its_object(metadata, source):
    wrong_one = a_certificate_body(dnsNames="foo") | {"metadata": metadata}

    assert [error.source for error in parse(a_certificate_body(), wrong_one)[1]] == [source]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"apiVersion": "v1", "kind": "List"}, "kind"),
        ({"apiVersion": "v1", "kind": "List", "items": {}}, "kind"),
        ({"apiVersion": "v1", "kind": "List", "items": [], "spec": {}}, "kind"),
        (
            {
                "apiVersion": "v1",
                "kind": "List",
                "items": [{"apiVersion": "v1", "kind": "List", "items": []}],
            },
            "items[0].kind",
        ),
        ({"apiVersion": "v1", "kind": "List", "items": ["x"]}, "items[0]"),
        ({"apiVersion": "cert-manager.io/v1", "kind": "List", "items": []}, "kind"),
        (["x"], ""),
        ("x", ""),
        ({"kind": ["Certificate"]}, "kind"),
        (without(a_certificate_body(), "kind"), "kind"),
        (without(a_certificate_body(), "apiVersion"), "apiVersion"),
        (a_certificate_body() | {"apiVersion": "cert-manager.io/v1alpha2"}, "apiVersion"),
        (a_certificate_body() | {"apiVersion": 1}, "apiVersion"),
        (a_certificate_body() | {"kind": "certificate"}, "kind"),
        (a_certificate_body() | {"kind": "CertificateRequest"}, "kind"),
        (a_certificate_body() | {"extra": 1}, "extra"),
    ],
)
def test_what_is_no_object_that_is_known_is_refused_with_its_path(body, path):
    documents, (error,) = parse(body)

    assert documents == []
    assert error.path == path


def test_a_document_keeps_the_namespace_it_was_read_in():
    (document,), _ = parse(without(a_certificate_body(), "metadata", "namespace"), default_namespace="blue")

    (again,), _ = parse_documents(document.text, source="again", default_namespace="red")

    assert document.namespace == again.namespace == "blue"
    assert again.value == document.value
    assert again.text == document.text


def test_an_empty_file_has_no_documents():
    assert parse_documents("# nothing here\n---\n", source="x") == ([], [])


def test_a_file_that_is_too_large_is_one_error():
    documents, (error,) = parse_documents("#" * 2_000_000, source="big.yaml")

    assert documents == []
    assert str(error) == "big.yaml: is larger than 1048576 bytes; split it"


def test_a_shared_anchor_is_written_out():
    text = (
        dump_yaml(a_certificate_body()).replace("dnsNames:", "dnsNames: &names")
        + "  usages: &u [server auth]\n"
    )

    (document,), wrong = parse_documents(text, source="x")

    assert wrong == []
    assert "&" not in document.text


structures = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(max_size=6)
    | st.sampled_from(["Certificate", "v1", "cert-manager.io/v1", "a.example"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metadata", "spec", "name", "acme", "solvers", "dns01"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
bodies = st.sampled_from([a_certificate_body, an_issuer_body, a_secret_body])


@st.composite
def damaged(draw):
    """A good manifest with something else at any one place."""
    body = draw(bodies)()
    inner, key = {"": body}, ""
    while isinstance(inner[key], dict | list) and inner[key] and draw(st.booleans()):
        inner = inner[key]
        key = draw(st.sampled_from(range(len(inner)) if isinstance(inner, list) else sorted(inner)))
    if inner is not body and not key and "" in inner:
        return draw(structures)
    inner[key] = draw(structures)
    return body


@given(damaged())
def test_a_manifest_damaged_anywhere_is_read_or_refused(body):
    documents, wrong = parse(body)

    assert all(isinstance(document, Document) for document in documents)
    assert all(
        isinstance(error, InvalidManifest) and error.source and "\n" not in str(error) for error in wrong
    )
    assert len(documents) + len(wrong) == (body is not None)


@given(st.text(max_size=100) | st.binary(max_size=100))
def test_any_text_gives_documents_or_errors(text):
    documents, wrong = parse_documents(text, source="x")

    assert all(isinstance(document, Document) for document in documents)
    assert all(isinstance(error, InvalidManifest) for error in wrong)
