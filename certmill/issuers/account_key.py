"""The account key of an issuer, in a Secret: read it, or generate and store it; and the key of its external
account."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from certmill.acme.jws import AccountKey
from certmill.acme.resources import ExternalAccount
from certmill.certificates.secret_contract import ACCOUNT_LABEL
from certmill.crypto import keys
from certmill.errors import Busy, CertmillError, SecretUnusable
from certmill.home.cached import CachedHome
from certmill.issuers.credentials import secret_value
from certmill.model.annotations import CERTIFICATE_NAME
from certmill.model.issuer import Issuer
from certmill.model.secret import OPAQUE_TYPE, Secret
from certmill.runs.ports import Ports

NEXT: Final = ".next"
"""The key of the Secret that has the new account key during a rollover: the name of the account key's key,
with this suffix."""


class KeyUnusable(SecretUnusable):
    """The account key's Secret has no usable key, or it does not exist and must not be created."""


def stored_or_new_key(ports: Ports, issuer: Issuer) -> bytes:
    """The account key from its Secret. If there is none, a key is generated and stored before it is sent to
    the CA."""
    namespace, ref = ports.home.secrets_namespace(issuer), issuer.private_key
    if stored := stored_key(ports, issuer):
        return stored
    if issuer.disable_account_key_generation:
        raise KeyUnusable(
            f"the account key Secret {namespace}/{ref.name} of {issuer.reference} is not there, and "
            "disableAccountKeyGeneration is set"
        )
    made = Secret(
        namespace=namespace,
        name=ref.name,
        type=OPAQUE_TYPE,
        data={ref.key: keys.generate_account_key(issuer.account_key_algorithm)},
        labels=ACCOUNT_LABEL,
    )
    if ports.home.secret(namespace, ref.name) is not None:
        ports.home.write_secret(made)
    elif not ports.home.create_secret(made):
        raise Busy(f"the account key of {issuer.reference} is being made")
    return made.data[ref.key]


def stored_key(ports: Ports, issuer: Issuer) -> bytes:
    """The account key from its Secret; empty if there is none. Raises SecretUnusable."""
    try:
        secret = ports.home.secret(ports.home.secrets_namespace(issuer), issuer.private_key.name)
    except SecretUnusable as error:
        raise _unusable(issuer, error) from error
    owner = secret.annotations.get(CERTIFICATE_NAME, "") if secret else ""
    if owner:  # its server would have the account key, and a renewal would overwrite it
        raise _unusable(
            issuer,
            SecretUnusable(
                f"it is the Secret of Certificate {owner}; choose another spec.acme.privateKeySecretRef"
            ),
        )
    return secret.data.get(issuer.private_key.key, b"") if secret else b""


def stored_keys(ports: Ports, issuer: Issuer) -> tuple[bytes, bytes]:
    """The account key and the one that is to replace it, as they are stored now; each is empty if there is
    none. Raises SecretUnusable."""
    home = ports.home.uncached() if isinstance(ports.home, CachedHome) else ports.home
    secret = home.secret(home.secrets_namespace(issuer), issuer.private_key.name)
    data = secret.data if secret is not None else {}
    return data.get(issuer.private_key.key, b""), data.get(f"{issuer.private_key.key}{NEXT}", b"")


def write_keys(ports: Ports, issuer: Issuer, key_pem: bytes, *, following: bytes = b"") -> None:
    """Store the account key, and beside it the one that is to replace it, in one atomic write. Without
    `following` the latter is removed."""
    ref = issuer.private_key
    data = {ref.key: key_pem} | ({f"{ref.key}{NEXT}": following} if following else {})
    namespace = ports.home.secrets_namespace(issuer)
    ports.home.write_secret(Secret(namespace=namespace, name=ref.name, data=data, labels=ACCOUNT_LABEL))


def replace_key(ports: Ports, issuer: Issuer, key_pem: bytes) -> None:
    """Store the key that the CA has accepted in place of the account key, and its hash in the status. If the
    process dies between the two, the next run finds the same account by the new key."""
    write_keys(ports, issuer, key_pem)
    status = ports.home.issuer_status(issuer)
    ports.home.write_issuer_status(issuer, replace(status, last_private_key_hash=key_hash(key_pem, issuer)))


class StoredKeys:
    """The keys of an issuer's account, for a client whose key the CA does not accept
    (acme.session.KeySource).

    A rollover that was interrupted after the CA had changed the key is ended by the first request."""

    def __init__(self, ports: Ports, issuer: Issuer) -> None:
        self._ports = ports
        self._issuer = issuer

    def other_key(self, used: AccountKey) -> AccountKey | None:
        """The stored key, or the one that is to replace it, if it is not `used`. None if they cannot be
        read."""
        try:
            keys_there = [AccountKey.from_pem(pem) for pem in stored_keys(self._ports, self._issuer) if pem]
        except CertmillError:
            return None
        return next((key for key in keys_there if key.hash != used.hash), None)

    def accepted(self, key: AccountKey) -> None:
        """Store the key, if a rollover has left it beside the account key."""
        following = stored_keys(self._ports, self._issuer)[1]
        if following and AccountKey.from_pem(following).hash == key.hash:
            replace_key(self._ports, self._issuer, following)


def external_account(ports: Ports, issuer: Issuer) -> ExternalAccount | None:
    binding = issuer.external_account_binding
    if binding is None:
        return None
    text = (
        secret_value(ports, issuer, binding.key_secret_ref, "external account key")
        .decode("ascii", "replace")
        .strip()
    )
    try:
        return ExternalAccount.from_base64url(binding.key_id, text)
    except CertmillError as error:
        raise SecretUnusable(
            f"the external account key of {issuer.reference} cannot be used: {error}"
        ) from None


def key_hash(key_pem: bytes, issuer: Issuer) -> str:
    """The hash of the key, as cert-manager writes it in the status. Raises SecretUnusable."""
    try:
        return AccountKey.from_pem(key_pem).hash
    except SecretUnusable as error:
        raise _unusable(issuer, error) from error


def _unusable(issuer: Issuer, error: SecretUnusable) -> KeyUnusable:
    return KeyUnusable(
        f"the account key Secret {issuer.private_key.name} of {issuer.reference} cannot be used: {error}"
    )
