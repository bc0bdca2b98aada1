"""The protocols of HTTP-01: the store of key authorizations, and the way of the CA's request; and the shape
of a token, which comes from anybody on the Internet."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol

from certmill.model.certificate import Certificate
from certmill.model.issuer import Http01Solver
from certmill.model.key_authorization import KeyAuthorization
from certmill.model.names import CertificateId

WELL_KNOWN_PATH: Final = "/.well-known/acme-challenge/"
"""RFC 8555 §8.3: the path is this and the token."""

# RFC 8555 §8.3: a token is base64url without padding. Boulder's have 43 characters; 128 leave room.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")


def is_token(text: str) -> bool:
    """Tell whether `text` has the shape of a token; nothing else may reach a store or a path."""
    return _TOKEN.fullmatch(text) is not None


class KeyAuthorizations(Protocol):
    """Key authorizations by token, for as long as their challenges run. Safe from many threads; each call is
    bounded (seconds)."""

    def get(self, token: str) -> KeyAuthorization | None:
        """Return the key authorization and its hosts, or None when there is none. Raises StateUnavailable
        when the store is away."""
        ...


class Routes(Protocol):
    """How the CA's request comes to the responder. Quick and idempotent. Raises Temporary,
    SolverMisconfigured, Forbidden."""

    def way(self, certificate: Certificate, solver: Http01Solver) -> str:
        """A word for the way, to be noted before it is opened, and closed with. Asks nobody."""
        ...

    def open(self, certificate: Certificate, host: str, token: str, solver: Http01Solver) -> None:
        """Lead requests for this token of `host` to the responder, and for no other of ours."""
        ...

    def redirects(self, certificate: Certificate) -> bool:
        """Whether what the Certificate is for redirects all requests to HTTPS, those of challenges too."""
        ...

    def close(self, certificate: CertificateId, host: str, way: str) -> None:
        """Lead them there no longer, for this Certificate. Not there: no error."""
        ...

    def clear(self, namespace: str, ingress: str, is_over: Callable[[CertificateId], bool]) -> None:
        """Close the ways through this Ingress that are open for Certificates whose challenges are over. Not
        there: no error."""
        ...


class NoRoutes:
    """Where the operator has led the requests to the responder himself."""

    def way(self, certificate: Certificate, solver: Http01Solver) -> str:
        return ""

    def open(self, certificate: Certificate, host: str, token: str, solver: Http01Solver) -> None:
        """Nothing."""

    def redirects(self, certificate: Certificate) -> bool:
        """Nobody knows: the self check finds it out."""
        return False

    def close(self, certificate: CertificateId, host: str, way: str) -> None:
        """Nothing."""

    def clear(self, namespace: str, ingress: str, is_over: Callable[[CertificateId], bool]) -> None:
        """Nothing."""
