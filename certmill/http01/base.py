"""Protocols of HTTP-01: the store of key authorizations (KeyAuthorizations), and the routes on which a CA's
request reaches the responder (Routes). `is_token` validates tokens, which are untrusted input."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol

from certmill.model.certificate import Certificate
from certmill.model.issuer import Http01Solver
from certmill.model.key_authorization import KeyAuthorization
from certmill.model.names import CertificateId

WELL_KNOWN_PATH: Final = "/.well-known/acme-challenge/"
"""RFC 8555 §8.3: the path is this prefix and the token."""

# RFC 8555 §8.3: a token is base64url without padding. Boulder's tokens have 43 characters.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")


def is_token(text: str) -> bool:
    """Whether `text` has the form of a token. Other text must not reach a store or a path."""
    return _TOKEN.fullmatch(text) is not None


class KeyAuthorizations(Protocol):
    """Key authorizations of running challenges, by token. Thread-safe; each call ends within seconds."""

    def get(self, token: str) -> KeyAuthorization | None:
        """The key authorization and its hosts; None if there is none. Raises StateUnavailable if the store
        does not answer."""
        ...


class Routes(Protocol):
    """Routes from the Internet to the responder. Methods are quick and idempotent. They raise Temporary,
    SolverMisconfigured, Forbidden."""

    def route_name(self, certificate: Certificate, solver: Http01Solver) -> str:
        """The name of the route that `present` will create. It is stored before `present`, and `cleanup`
        needs it. Sends no request."""
        ...

    def present(self, certificate: Certificate, host: str, token: str, solver: Http01Solver) -> None:
        """Create the route: requests for exactly this token at `host` reach the responder. Repeating it
        repairs the route."""
        ...

    def redirects(self, certificate: Certificate) -> bool:
        """Whether the Certificate's owner redirects all requests to HTTPS, also those of challenges."""
        ...

    def cleanup(self, certificate: CertificateId, host: str, route: str) -> None:
        """Remove this Certificate's route for `host`. `route` is the result of `route_name`. A missing route
        is not an error."""
        ...

    def collect_orphans(self, namespace: str, ingress: str, is_over: Callable[[CertificateId], bool]) -> None:
        """Remove the routes in this Ingress whose Certificates have no running challenge (`is_over`). A
        missing Ingress is not an error."""
        ...


class NoRoutes:
    """Routes without a cluster: the operator configures the proxy, so nothing is created or removed."""

    def route_name(self, certificate: Certificate, solver: Http01Solver) -> str:
        return ""

    def present(self, certificate: Certificate, host: str, token: str, solver: Http01Solver) -> None:
        """Do nothing."""

    def redirects(self, certificate: Certificate) -> bool:
        """False, because it is not known; the self check detects redirects."""
        return False

    def cleanup(self, certificate: CertificateId, host: str, route: str) -> None:
        """Do nothing."""

    def collect_orphans(self, namespace: str, ingress: str, is_over: Callable[[CertificateId], bool]) -> None:
        """Do nothing."""
