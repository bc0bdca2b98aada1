"""The Secrets that people make for an issuer: credentials of its DNS solvers, and its external account's key."""

from __future__ import annotations

from certmill.errors import NotFound, SecretUnusable
from certmill.model.issuer import Issuer, SecretKeyRef
from certmill.pipeline.context import Ports

MAX_CREDENTIAL_BYTES = 65_536
"""The largest that any provider gives out, a key file in JSON, has 3 kB."""


def secret_value(ports: Ports, issuer: Issuer, ref: SecretKeyRef, purpose: str) -> bytes:
    """The value of a key of one of the issuer's Secrets. Raises NotFound or SecretUnusable naming it."""
    namespace = ports.home.secrets_namespace(issuer)
    secret = ports.home.secret(namespace, ref.name)
    if secret is None:
        raise NotFound(f"the Secret {namespace}/{ref.name} with the {purpose} of {issuer.reference} is not there; create it")
    value = secret.data.get(ref.key, b"")
    what = f"the Secret {namespace}/{ref.name} with the {purpose} of {issuer.reference}"
    if not value:
        raise SecretUnusable(f"{what} has no key {ref.key!r}")
    if len(value) > MAX_CREDENTIAL_BYTES:
        raise SecretUnusable(f"{what} has more than {MAX_CREDENTIAL_BYTES} bytes under {ref.key!r}: that is none")
    return value


def missing_solver_secrets(ports: Ports, issuer: Issuer) -> str:
    """Why the issuer's solvers cannot work, in one line; "" if each has the Secret that it needs."""
    wrong = []
    for ref in dict.fromkeys(issuer.solver_credentials):
        try:
            secret_value(ports, issuer, ref, "credential of a solver")
        except (NotFound, SecretUnusable) as error:
            wrong.append(str(error))
    return "; ".join(wrong)
