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
    """Whether a request made it."""
    return certificate.annotations.get(CREATED_BY) == CREATED_BY_REQUEST


def marked(certificate: Certificate) -> tuple[Certificate, str]:
    """The Certificate of a request as it is kept, and its document."""
    kept = replace(certificate, annotations={CREATED_BY: CREATED_BY_REQUEST})
    return kept, dump_yaml(certificate_document(kept))


def unmarked(manifest: Certificate | Issuer, document: str) -> tuple[Certificate | Issuer, str]:
    """What a person applies, and its document: it is the manifest's from then on, be it what `certmill get -o
    yaml` printed."""
    if isinstance(manifest, Certificate) and CREATED_BY in manifest.annotations:
        kept = without_mark(manifest)
        return kept, dump_yaml(certificate_document(kept))
    return manifest, document


def without_mark(certificate: Certificate) -> Certificate:
    """The same Certificate as a manifest's."""
    return replace(
        certificate,
        annotations={name: value for name, value in certificate.annotations.items() if name != CREATED_BY},
    )


def outcome_of(existing: Certificate | None, wanted: Certificate) -> Change:
    """What a request does to the Certificate that is there. Raises InvalidManifest if that is not a request's
    to change."""
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
    """The refusal where there is a Certificate of this name that cannot be used: nobody knows whose it is."""
    reason = (
        f"Certificate {certificate.id} is there and wrong, and a request does not change it: have it "
        f"repaired or deleted ({error})"
    )
    return InvalidManifest(reason, path="name")


def _spec(certificate: Certificate) -> Certificate:
    return replace(certificate, labels={}, annotations={})
