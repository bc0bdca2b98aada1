"""The order whose DNS-01 values may be up, noted in the Certificate's status: all that is left of a run when
Redis has lost its memory.

An order names its authorizations, and these their tokens, from which each value is made (RFC 8555 §8.4). So
the URL is enough to go on with the order, and to find each value of ours at any provider; values of others
are never touched (steps.lost_orders)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Final

from certmill.errors import CertmillError, Conflict
from certmill.home.base import Home
from certmill.model.names import CertificateId

_TRIES: Final = 2


def note(home: Home, certificate: CertificateId, *, order: str, spec: str) -> None:
    """Before the values go up. A home that does not take it holds up no challenge: it is missed only if Redis
    is lost as well."""
    _write(home, certificate, order=order, spec=spec)


def clear(home: Home, certificate: CertificateId, *, only: str | None = None) -> None:
    """The values are gone: those of the order `only`, or all."""
    _write(home, certificate, order="", spec="", only=only)


def _write(home: Home, certificate: CertificateId, *, order: str, spec: str, only: str | None = None) -> None:
    with suppress(CertmillError):
        for _ in range(_TRIES):
            status = home.certificate_status(certificate)
            if only not in (None, status.order):
                return
            with suppress(Conflict):
                home.write_certificate_status(certificate, replace(status, order=order, order_spec=spec))
                return
