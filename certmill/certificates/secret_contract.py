"""Defines the form of a Certificate's Secret: its type, its keys and cert-manager's annotations.

There are eight annotations, and those of the subject if the leaf has one (reference §0.1, §0.2, §1.5)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from contextlib import suppress

from certmill.certificates.candidates import candidate_refs
from certmill.crypto import chain, keys
from certmill.errors import SecretUnusable
from certmill.home.base import Home
from certmill.model.annotations import CERTIFICATE_NAME, ISSUER_GROUP, ISSUER_KIND, ISSUER_NAME, MANAGED_LABEL
from certmill.model.certificate import Certificate, IssuerRef, OutputFormat
from certmill.model.issuer import Issuer
from certmill.model.secret import TLS_CERTIFICATE, TLS_PRIVATE_KEY, TLS_TYPE, Secret

_PREFIX = "cert-manager.io/"

ACCOUNT_LABEL = {"certmill.io/acme-account": "true"}
"""A label on the Secrets with account keys that certmill creates. A pair is never written over a Secret that
has it."""


def annotations_of(certificate: Certificate, leaf: chain.Leaf, issuer: IssuerRef | None) -> dict[str, str]:
    """The eight annotations: the names come from the issued leaf, the issuer is the one that has issued it,
    as the manifest names it. Empty strings are written too. If the leaf has e-mail addresses, or subject
    fields other than the common name, their annotations are added. Without an issuer (a temporary pair) the
    three annotations of the issuer are left out."""
    of_issuer = (
        {ISSUER_GROUP: issuer.group, ISSUER_KIND: issuer.kind or "Issuer", ISSUER_NAME: issuer.name}
        if issuer is not None
        else {}
    )
    return _of_leaf(certificate, leaf) | of_issuer


def _of_leaf(certificate: Certificate, leaf: chain.Leaf) -> dict[str, str]:
    subject = leaf.subject
    only_if_there = {
        "email-sans": leaf.email_addresses,
        "subject-organizations": subject.organizations,
        "subject-organizationalunits": subject.organizational_units,
        "subject-countries": subject.countries,
        "subject-provinces": subject.provinces,
        "subject-localities": subject.localities,
        "subject-postalcodes": subject.postal_codes,
        "subject-streetaddresses": subject.street_addresses,
    }
    found = {
        "alt-names": _listed(leaf.dns_names),
        "common-name": leaf.common_name,
        "ip-sans": _listed(leaf.ip_addresses),
        "uri-sans": _listed(leaf.uris),
    }
    found |= {name: _listed(values) for name, values in only_if_there.items() if values}
    if subject.serial_number:
        found["subject-serialnumber"] = subject.serial_number
    return {CERTIFICATE_NAME: certificate.name} | {f"{_PREFIX}{name}": value for name, value in found.items()}


def _listed(values: Sequence[str]) -> str:
    """One line of CSV. cert-manager joins the values in the same way (cmutil.JoinWithEscapeCSV)."""
    if not values:
        return ""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()


def is_temporary(secret: Secret) -> bool:
    """Whether the Secret has a temporary certificate: its annotations name a Certificate and no issuer."""
    return CERTIFICATE_NAME in secret.annotations and ISSUER_NAME not in secret.annotations


def issued_leaf(secret: Secret | None) -> chain.Leaf | None:
    """The certificate in the Secret; None if there is none that a CA has issued, or if it cannot be read."""
    if secret is None or not secret.data.get(TLS_CERTIFICATE) or is_temporary(secret):
        return None
    with suppress(SecretUnusable):
        return chain.leaf(secret.data[TLS_CERTIFICATE])
    return None


def _taken_by_issuer(
    certificate: Certificate, issuer: Issuer | None, issuer_namespace: str, secret: Secret | None
) -> str:
    """Why the pair must not be written to this Secret: the issuer uses it for its own key or credentials, or
    the Secret has the account key of some issuer. "" if neither."""
    if secret is not None and ACCOUNT_LABEL.items() <= secret.labels.items():
        return "is the Secret with the account key of an issuer; choose another name"
    names = {ref.name for ref in (issuer.private_key, *issuer.credentials)} if issuer is not None else set()
    if issuer is not None and certificate.namespace == issuer_namespace and certificate.secret_name in names:
        return f"is a Secret that {issuer.reference} needs for itself; choose another name"
    return ""


def refusal_to_write(
    home: Home, certificate: Certificate, issuers: Sequence[Issuer], secret: Secret | None
) -> str:
    """Why the Certificate's Secret must not be written: an issuer uses it, or a symbolic link is in its
    place. "" if it may be written.

    A Secret that does not exist, or that belongs to a Certificate, is not used by another issuer. So the
    other issuers are read only for the remaining cases, not at each reconciliation."""
    if reason := home.unwritable_secret(certificate.namespace, certificate.secret_name):
        return reason
    users = [*issuers]
    if secret is not None and CERTIFICATE_NAME not in secret.annotations:
        users += [*home.issuers(certificate.namespace), *home.issuers("")]
    reasons = (_taken_by_issuer(certificate, one, home.secrets_namespace(one), secret) for one in users)
    return next((reason for reason in reasons if reason), "") or _taken_by_issuer(
        certificate, None, "", secret
    )


def candidate_in(secret: Secret, certificate: Certificate) -> IssuerRef | None:
    """The candidate issuer that the Secret's annotations name; None if they name another issuer. The first
    candidate for a Secret without these annotations: the other checks decide then."""
    return next((ref for ref in candidate_refs(certificate) if _names(secret, ref)), None)


def _names(secret: Secret, ref: IssuerRef) -> bool:
    found = secret.annotations
    name = found.get(ISSUER_NAME)
    if name is None:
        return True
    same_group = (found.get(ISSUER_GROUP) or "cert-manager.io") == (ref.group or "cert-manager.io")
    return name == ref.name and (found.get(ISSUER_KIND) or "Issuer") == (ref.kind or "Issuer") and same_group


def issuer_of(secret: Secret) -> str:
    """The issuer that the Secret's annotations name, in cert-manager's form: `kind.group/name`."""
    found = secret.annotations
    kind, group = found.get(ISSUER_KIND) or "Issuer", found.get(ISSUER_GROUP) or "cert-manager.io"
    return f"{kind}.{group}/{found.get(ISSUER_NAME, '')}"


def secret_of(
    certificate: Certificate, chain_pem: bytes, key_pem: bytes, *, issuer: IssuerRef | None
) -> Secret:
    """The Secret for a pair that this issuer has issued, in cert-manager's form. `issuer` is None for a
    temporary pair: its Secret has five annotations and none of an issuer. Raises SecretUnusable if the chain
    or the key cannot be read."""
    leaf = chain.leaf(chain_pem)
    key_pem = keys.reencode(key_pem, certificate.private_key.encoding)
    data = {TLS_CERTIFICATE: chain_pem, TLS_PRIVATE_KEY: key_pem}
    if OutputFormat.DER in certificate.additional_output_formats:
        data["key.der"] = keys.to_der(key_pem)
    if OutputFormat.COMBINED_PEM in certificate.additional_output_formats:
        data["tls-combined.pem"] = key_pem + b"\n" + chain_pem
    template = certificate.secret_template
    return Secret(
        namespace=certificate.namespace,
        name=certificate.secret_name,
        type=TLS_TYPE,
        data=data,
        labels={**template.labels, MANAGED_LABEL: "true"},
        annotations={**template.annotations, **annotations_of(certificate, leaf, issuer)},
    )
