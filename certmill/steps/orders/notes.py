"""The note of an order in the Certificate's status: the URL of the order whose DNS-01 values may be in DNS.

If Redis loses its data, this note is all that is left of a run. The order names its authorizations, and these
name the tokens from which each value is computed (RFC 8555 §8.4). So the URL is enough to continue the order,
and to find each of our values at any provider. Values of other programs are never changed (`lost`)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from certmill.certificates import statuses
from certmill.errors import CertmillError
from certmill.home.base import Home
from certmill.model.names import CertificateId
from certmill.model.status import CertificateStatus


def note(home: Home, certificate: CertificateId, *, order: str, spec: str) -> None:
    """Write the note, before the values are presented. `spec`: the digest of the Certificate's spec.

    Errors of the home are ignored: the note is needed only if Redis also loses its data."""
    _write(home, certificate, order=order, spec=spec)


def clear(home: Home, certificate: CertificateId, *, only: str | None = None) -> None:
    """Remove the note, because the values have been cleaned up. `only`: remove it only if it has this
    order. Errors of the home are ignored."""
    _write(home, certificate, order="", spec="", only=only)


def _write(home: Home, certificate: CertificateId, *, order: str, spec: str, only: str | None = None) -> None:
    def changed(status: CertificateStatus) -> CertificateStatus:
        is_meant = only in (None, status.order)
        return replace(status, order=order, order_spec=spec) if is_meant else status

    with suppress(CertmillError):
        statuses.update(home, certificate, changed)
