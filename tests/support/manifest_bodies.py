"""Valid manifests of each kind, and functions that change one field of them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from compose.yaml_loader import load_document

Body = dict[str, Any]
"""A manifest as the YAML parser returns it."""


def a_certificate_body(**spec: object) -> Body:
    """A Certificate prod/web; fields of its spec replaced or added."""
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "web", "namespace": "prod"},
        "spec": {
            "secretName": "web-tls",
            "issuerRef": {"name": "ca", "kind": "ClusterIssuer"},
            "dnsNames": ["web.example.com"],
        }
        | spec,
    }


def an_issuer_body(*, kind: str = "ClusterIssuer", **acme: object) -> Body:
    """A ClusterIssuer prod; fields of its spec.acme replaced or added."""
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": kind,
        "metadata": {"name": "prod"},
        "spec": {
            "acme": {
                "server": "https://acme-v02.api.letsencrypt.org/directory",
                "privateKeySecretRef": {"name": "prod-account"},
                "solvers": [{"http01": {"ingress": {}}}],
            }
            | acme
        },
    }


def a_secret_body(**fields: object) -> Body:
    """A Secret prod/token; fields replaced or added."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": "prod"}} | fields


def without(body: Body, *path: str | int) -> Body:
    """A copy of `body` without one field."""
    changed = copy.deepcopy(body)
    inner: Any = changed
    for part in path[:-1]:
        inner = inner[part]
    del inner[path[-1]]
    return changed


def documented() -> dict[str, tuple[Body, str]]:
    """(manifest, the field that certmill refuses, or "") of each example in cert-manager's manual, by its
    page and number."""
    examples = load_document((Path(__file__).parent / "documented.yaml").read_text())
    return {
        f"{one['from']} {number}": (
            {
                "apiVersion": "cert-manager.io/v1",
                "kind": one["kind"],
                "metadata": {"name": "example"},
                "spec": one["spec"],
            },
            one.get("refused", ""),
        )
        for number, one in enumerate(examples, 1)
    }


DOCUMENTED = documented()
