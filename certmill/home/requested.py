"""Which Certificates a request may change: those that a request created, until a manifest is applied over
them. Pure.

A Certificate that a request created carries an annotation. One without it counts as created by a manifest,
even if a request to an older release created it: a request for exactly the same specification is answered,
and a request for anything else is refused."""

from __future__ import annotations

from dataclasses import replace

from certmill.errors import InvalidManifest
from certmill.home.base import Change
from certmill.model.annotations import CREATED_BY, CREATED_BY_REQUEST
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.manifests.parse import certificate_document, dump_yaml


def is_requested(certificate: Certificate) -> bool:
    """Whether a request created it."""
    return certificate.annotations.get(CREATED_BY) == CREATED_BY_REQUEST


def marked(certificate: Certificate) -> Certificate:
    """Return the Certificate of a request in its stored form."""
    return replace(certificate, annotations={CREATED_BY: CREATED_BY_REQUEST})


def unmarked(manifest: Certificate | Issuer, document: str) -> tuple[Certificate | Issuer, str]:
    """Return the object that a user applies, and its document, without the mark of a request: the manifest
    owns it from then on, even if the document is the output of `certmill get -o yaml`."""
    if isinstance(manifest, Certificate) and CREATED_BY in manifest.annotations:
        kept = without_mark(manifest)
        return kept, dump_yaml(certificate_document(kept))
    return manifest, document


def without_mark(certificate: Certificate) -> Certificate:
    """Return the same Certificate without the mark of a request."""
    return replace(
        certificate,
        annotations={name: value for name, value in certificate.annotations.items() if name != CREATED_BY},
    )


def outcome_of(existing: Certificate | None, wanted: Certificate) -> Change:
    """Return what a request does to the existing Certificate. Raises InvalidManifest if a request may not
    change it."""
    if existing is None:
        return Change.CREATED
    if _spec(existing) == _spec(wanted):
        return Change.UNCHANGED
    if not is_requested(existing):
        raise InvalidManifest(
            f"Certificate {existing.id} was made by a manifest, and a request does not change it: "
            "ask for another name, or have its manifest changed",
            path="name",
        )
    return Change.CONFIGURED


def wrong(certificate: Certificate, error: InvalidManifest) -> InvalidManifest:
    """Return the refusal when a Certificate of this name exists and cannot be used: its owner is unknown."""
    reason = (
        f"Certificate {certificate.id} exists and is not valid, and a request does not change it: have it "
        f"repaired or deleted ({error})"
    )
    return InvalidManifest(reason, path="name")


def _spec(certificate: Certificate) -> Certificate:
    return replace(certificate, labels={}, annotations={})
