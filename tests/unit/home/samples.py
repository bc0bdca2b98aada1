"""Manifests and Secrets for the tests of the directory home."""

from __future__ import annotations

from certmill.model.manifests.parse import parse_documents
from certmill.model.secret import TLS_TYPE, Secret


def pair(generation, **changes):
    values = {"tls.crt": f"chain {generation}".encode() * 300, "tls.key": f"key {generation}".encode() * 100}
    return Secret(**{"namespace": "default", "name": "web", "type": TLS_TYPE, "data": values, **changes})


def certificate_text(name="web", dns_name="example.com", namespace="default"):
    return (
        f"apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata:\n  name: {name}\n  namespace: "
        f"{namespace}\n"
        f"spec:\n  secretName: {name}\n  issuerRef:\n    name: prod\n  dnsNames:\n  - {dns_name}\n"
    )


def secret_text(value="hunter2", name="token"):
    return (
        f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: default\nstringData:\n  "
        f"token: {value}\n"
    )


def parsed(text):
    return parse_documents(text, source="test")[0][0].value
