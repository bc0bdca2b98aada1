"""The lines of `certmill describe secret`. They have no value of the Secret."""

from __future__ import annotations

from collections.abc import Mapping

from certmill.cli.columns import fields
from certmill.cli.exit_codes import shown
from certmill.cli.kinds import Kind, missing
from certmill.cli.session import Session
from certmill.crypto import chain
from certmill.errors import NotFound, SecretUnusable
from certmill.model.annotations import CERTIFICATE_NAME
from certmill.model.secret import TLS_CERTIFICATE, Secret


def secret_lines(session: Session, namespace: str, name: str) -> list[str]:
    """The lines about a Secret. Raises NotFound."""
    secret = session.home.secret(namespace, name)
    if secret is None:
        raise NotFound(missing(Kind.SECRET, namespace, name))
    lines = fields(
        [
            ("Name", name),
            ("Namespace", namespace),
            ("Type", secret.type),
            ("Certificate", secret.annotations.get(CERTIFICATE_NAME, "")),
            ("Issued by", issued_by(secret)),
            ("Stored at", str(session.secret_directory(namespace, name) or "")),
        ]
    )
    lines += _pairs("Labels", secret.labels) + _pairs("Annotations", secret.annotations)
    return [
        *lines,
        "Data:",
        *fields([(key, f"{len(value)} bytes") for key, value in sorted(secret.data.items())], indent="  "),
    ]


def _pairs(title: str, pairs: Mapping[str, str]) -> list[str]:
    return (
        [f"{title}:", *(f"  {shown(name)}={shown(value)}" for name, value in sorted(pairs.items()))]
        if pairs
        else []
    )


def issued_by(secret: Secret | None) -> str:
    """The CA that signed the certificate in the Secret, and its serial number; "" if there is none."""
    if secret is None or not secret.data.get(TLS_CERTIFICATE):
        return ""
    try:
        leaf = chain.leaf(secret.data[TLS_CERTIFICATE])
    except SecretUnusable as error:
        return f"cannot be read: {error}"
    return f"{leaf.issuer_common_name} (serial {leaf.serial})"
