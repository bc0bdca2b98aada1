"""The bodies of `certificate.request` and `certificate.renew`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.errors import InvalidManifest
from certmill.model.certificate import Certificate, IssuerRef
from certmill.model.manifests.parse import parse_renewal, parse_request

SPEC = {"issuerRef": {"name": "ca"}, "dnsNames": ["web.example.com"]}


def refusal(parse, body):
    with pytest.raises(InvalidManifest) as caught:
        parse(body)
    return caught.value


def test_a_request_needs_a_name_an_issuer_and_names():
    assert parse_request({"name": "web", "spec": SPEC}) == Certificate(
        namespace="default",
        name="web",
        secret_name="web",
        issuer_ref=IssuerRef(name="ca", kind=""),
        dns_names=("web.example.com",),
    )


def test_a_request_may_say_everything_that_a_manifest_may():
    certificate = parse_request(
        {
            "name": "web",
            "namespace": "prod",
            "spec": SPEC
            | {
                "secretName": "web-tls",
                "issuerRef": {"name": "ca", "kind": "ClusterIssuer"},
                "privateKey": {"algorithm": "ECDSA"},
            },
        }
    )

    assert (certificate.id, certificate.secret_name, certificate.issuer_ref.kind) == (
        "prod/web",
        "web-tls",
        "ClusterIssuer",
    )
    assert certificate.private_key.size == 256


@pytest.mark.parametrize(
    ("body", "path", "says"),
    [
        (None, "", "must be a mapping"),
        ([], "", "must be a mapping"),
        ("web", "", "must be a mapping"),
        ({}, "name", "required"),
        ({"name": "web"}, "spec", "required"),
        ({"name": "web", "spec": None}, "spec", "must be a mapping"),
        ({"name": "web", "spec": []}, "spec", "must be a mapping"),
        ({"name": "web", "spec": {"dnsNames": ["a.example"]}}, "spec.issuerRef", "required"),
        ({"name": "Web", "spec": SPEC}, "name", "not a valid object name"),
        ({"name": "a/b", "spec": SPEC}, "name", "not a valid object name"),
        ({"name": "\ud800", "spec": SPEC}, "name", "not a valid object name"),
        ({"name": 7, "spec": SPEC}, "name", "must be a string"),
        ({"name": "web", "namespace": "../etc", "spec": SPEC}, "namespace", "not a valid namespace"),
        ({"name": "web", "spec": SPEC, "callback": "http://x"}, "callback", "not a known field"),
        ({"name": "web", "spec": SPEC | {"dnsName": 1}}, "spec.dnsName", "not a known field"),
        ({"name": "web", "spec": SPEC | {"dnsNames": ["a_b"]}}, "spec.dnsNames[0]", "not a valid DNS name"),
        ({"name": "web", "spec": SPEC | {"dnsNames": []}}, "spec.dnsNames", "at least one name"),
        (
            {"name": "web", "spec": SPEC | {"keystores": {"jks": {"create": True, "password": "x"}}}},
            "spec.keystores",
            "does not act on this yet",
        ),
        ({"name": "web", 7: "x", "spec": SPEC}, None, "not a known field"),
    ],
)
def test_a_wrong_request_is_refused_with_its_path(body, path, says):
    error = refusal(parse_request, body)

    assert path in (None, error.path)
    assert says in error.reason


def test_a_renewal_names_a_certificate():
    assert parse_renewal({"name": "web"}) == "default/web"
    assert parse_renewal({"name": "web", "namespace": "prod"}) == "prod/web"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (None, ""),
        ({}, "name"),
        ({"name": "../x"}, "name"),
        ({"name": "web", "namespace": "a/b"}, "namespace"),
        ({"name": "web", "spec": {}}, "spec"),
    ],
)
def test_a_wrong_renewal_is_refused_with_its_path(body, path):
    assert refusal(parse_renewal, body).path == path


fields = st.sampled_from(
    [
        "name",
        "namespace",
        "spec",
        "issuerRef",
        "dnsNames",
        "ipAddresses",
        "privateKey",
        "duration",
        "renewBefore",
        "usages",
        "commonName",
        "size",
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["web", "a.example", "1h", "RSA", "\ud800"])
)
bodies = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(fields | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=15,
)


@given(
    bodies
    | st.fixed_dictionaries(
        {"name": st.just("web"), "spec": st.dictionaries(fields, bodies).map(lambda extra: SPEC | extra)}
    )
)
def test_any_json_gives_a_certificate_or_invalid_manifest(body):
    for parse in (parse_request, parse_renewal):
        try:
            parse(body)
        except InvalidManifest as error:
            message = str(error)
        else:
            message = ""

        assert "\n" not in message
        assert message.encode().decode() == message
