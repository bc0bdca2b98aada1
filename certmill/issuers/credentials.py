"""Reads the Secrets that users create for an issuer: credentials of its DNS solvers, and the key of its
external account."""

from __future__ import annotations

from typing import Final

from certmill.errors import NotFound, SecretUnusable
from certmill.home.base import Home
from certmill.model.issuer import Issuer, SecretKeyRef
from certmill.model.secret import Secret
from certmill.runs.ports import Ports

MAX_CREDENTIAL_BYTES = 65_536
"""Size limit for a credential. The largest that a provider issues, a key file in JSON, has 3 kB."""


_MOST_TOLD: Final = 10
"""The number of errors after which the other Secrets are not read: any user's issuer may name thousands of
Secrets."""


def secret_value(ports: Ports, issuer: Issuer, ref: SecretKeyRef, purpose: str) -> bytes:
    """The value of a key of one of the issuer's Secrets. Raises NotFound or SecretUnusable; the message names
    the Secret."""
    home = ports.home
    return _value(home, issuer, ref, purpose, home.secret(home.secrets_namespace(issuer), ref.name))


def _value(home: Home, issuer: Issuer, ref: SecretKeyRef, purpose: str, secret: Secret | None) -> bytes:
    what = f"the Secret {home.secrets_namespace(issuer)}/{ref.name} with the {purpose} of {issuer.reference}"
    if secret is None:
        raise NotFound(f"{what} is not there; create it")
    value = secret.data.get(ref.key, b"")
    if not value:
        raise SecretUnusable(f"{what} has no key {ref.key!r}")
    if len(value) > MAX_CREDENTIAL_BYTES:
        raise SecretUnusable(
            f"{what} has more than {MAX_CREDENTIAL_BYTES} bytes under {ref.key!r}: that is none"
        )
    return value


def missing_solver_secrets(home: Home, issuer: Issuer) -> str:
    """Why the issuer's solvers cannot work, in one line; "" if each has the Secret that it needs. Each Secret
    is read once."""
    wrong: list[str] = []
    namespace, read = home.secrets_namespace(issuer), dict[str, Secret | None]()
    for ref in dict.fromkeys(issuer.solver_credentials):
        if len(wrong) == _MOST_TOLD:
            return "; ".join([*wrong, "there may be more"])
        try:
            if ref.name not in read:
                read[ref.name] = home.secret(namespace, ref.name)
            _value(home, issuer, ref, "credential of a solver", read[ref.name])
        except (NotFound, SecretUnusable) as error:
            wrong.append(str(error))
    return "; ".join(wrong)
