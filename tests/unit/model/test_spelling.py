"""What a mistyped word is said to mean."""

from __future__ import annotations

import pytest

from certmill.errors import InvalidManifest
from certmill.model.manifests.parse import parse_documents, parse_request
from certmill.model.spelling import did_you_mean


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("dnsName", "dnsNames"),
        ("dns_names", "dnsNames"),
        ("DNSNAMES", "dnsNames"),
        ("colour", ""),
        ("", ""),
        ("x" * 1_000_000, ""),
    ],
)
def test_the_nearest_known_word_is_named_if_one_is_near(word, meant):
    assert did_you_mean(word, ("secretName", "dnsNames", "duration")) == (
        f"; did you mean {meant}?" if meant else ""
    )


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"dns_name": ["x.test"]}, r"spec\.dns_name: is not a known field here; did you mean dnsNames\?$"),
        (
            {"privateKey": {"algoritm": "RSA"}},
            r"spec\.privateKey\.algoritm: is not a known field here; did you mean algorithm\?$",
        ),
        (
            {"additionalOutputFormats": [{"typ": "DER"}]},
            r"Formats\[0\]\.typ: is not a known field here; did you mean type\?$",
        ),
        ({"colour": "red"}, r"spec\.colour: is not a known field here$"),
    ],
)
def test_an_unknown_field_of_a_request_names_the_one_that_is_meant(spec, said):
    with pytest.raises(InvalidManifest, match=said):
        parse_request(
            {"name": "web", "spec": {"dnsNames": ["x.test"], "issuerRef": {"name": "prod"}, **spec}}
        )


def test_an_unknown_field_of_an_issuer_names_the_one_that_is_meant():
    text = """\
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: prod}
spec:
  acme:
    server: https://ca.test/dir
    privateKeySecretRef: {name: key}
    solvers: [{dns01: {cloudflare: {apiTokenSecretref: {name: a, key: b}}}}]
"""

    _, (error,) = parse_documents(text, source="it.yaml")

    assert str(error).endswith(
        "cloudflare.apiTokenSecretref: is not a known field here; did you mean apiTokenSecretRef?"
    )
