"""The account key of an issuer, in a Secret: read it, or generate and store it; and the key of its external
account."""

from __future__ import annotations

from certmill.acme.jws import AccountKey
from certmill.acme.resources import ExternalAccount
from certmill.certificates.secret_contract import ACCOUNT_LABEL
from certmill.crypto import keys
from certmill.errors import Busy, CertmillError, SecretUnusable
from certmill.issuers.credentials import secret_value
from certmill.model.annotations import CERTIFICATE_NAME
from certmill.model.issuer import Issuer
from certmill.model.secret import OPAQUE_TYPE, Secret
from certmill.runs.ports import Ports


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
