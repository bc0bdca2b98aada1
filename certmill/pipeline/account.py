"""The issuer's ACME account: its key from the home, its URI from the issuer's status, or registered now."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from certmill.acme.client import AcmeClient
from certmill.acme.jws import AccountKey
from certmill.acme.resources import ExternalAccount
from certmill.crypto import keys
from certmill.errors import AccountRefused, Busy, CertmillError, NotFound, SecretUnusable
from certmill.model.issuer import Issuer, SecretKeyRef
from certmill.model.secret import OPAQUE_TYPE, Secret
from certmill.model.status import Condition, IssuerStatus
from certmill.pipeline.context import Ports

REGISTERED = "ACMEAccountRegistered"
REGISTERED_MESSAGE = "The ACME account was registered with the ACME server"
REFUSED = "ErrRegisterACMEAccount"
_LOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A registered account: its URI and its key."""

    uri: str
    key_pem: bytes = field(repr=False)


def secret_value(ports: Ports, issuer: Issuer, ref: SecretKeyRef, purpose: str) -> bytes:
    """The value of a key of one of the issuer's Secrets. Raises NotFound or SecretUnusable naming it."""
    namespace = ports.home.secrets_namespace(issuer)
    secret = ports.home.secret(namespace, ref.name)
    if secret is None:
        raise NotFound(f"the Secret {namespace}/{ref.name} with the {purpose} of {issuer.reference} is not there; create it")
    value = secret.data.get(ref.key, b"")
    if not value:
        raise SecretUnusable(f"the Secret {namespace}/{ref.name} with the {purpose} of {issuer.reference} has no key {ref.key!r}")
    return value


def registered(ports: Ports, issuer: Issuer) -> Account | None:
    """The account as the issuer's status has it, if key, server and e-mail are still the same; asks nobody."""
    namespace = ports.home.secrets_namespace(issuer)
    secret = ports.home.secret(namespace, issuer.private_key.name)
    key_pem = secret.data.get(issuer.private_key.key, b"") if secret else b""
    status = ports.home.issuer_status(issuer)
    if not key_pem or not status.uri:
        return None
    ready = status.condition("Ready")
    same = status.server == issuer.server and status.last_registered_email == issuer.email
    if ready is None or not ready.status or not same or status.last_private_key_hash != _key(key_pem, issuer).hash:
        return None
    return Account(uri=status.uri, key_pem=key_pem)


def client(ports: Ports, issuer: Issuer) -> AcmeClient:
    """The ACME client of this thread for the issuer's account. Raises Busy when the account has to be registered (again) first."""
    account = registered(ports, issuer)
    if account is None:
        raise AccountRefused(f"{issuer.reference} has no registered account any more; it is registered again with the next attempt")
    return ports.clients.client(issuer, account.key_pem, account.uri)


def forget(ports: Ports, issuer: Issuer) -> None:
    """The CA does not know the account any more (accountDoesNotExist): the same key is registered again with the next attempt."""
    ports.home.write_issuer_status(issuer, replace(ports.home.issuer_status(issuer), uri=""))


def refused(ports: Ports, issuer: Issuer, error: AccountRefused) -> None:
    """A later request showed that the CA refuses the account: the issuer is not ready, and says why."""
    _write_condition(ports, issuer, ports.home.issuer_status(issuer), ready=False, reason=REFUSED, message=str(error))


def register(ports: Ports, issuer: Issuer, owner: str) -> Account:
    """Make sure that the issuer has an account, and write its status. Raises AccountRefused, Busy (somebody else is at it), CAUnavailable
    …"""
    account = registered(ports, issuer)
    if account is not None:
        return account
    if ports.locks.take("account", issuer.reference, owner=owner, seconds=_LOCK_SECONDS):
        raise Busy(f"the account of {issuer.reference} is being registered", retry_after=0.5)
    try:
        return registered(ports, issuer) or _register(ports, issuer)
    except AccountRefused as error:
        _write_condition(ports, issuer, ports.home.issuer_status(issuer), ready=False, reason=REFUSED, message=str(error))
        raise
    finally:
        ports.locks.release("account", issuer.reference, owner=owner)


def _register(ports: Ports, issuer: Issuer) -> Account:
    key_pem = _account_key(ports, issuer)
    acme = ports.clients.client(issuer, key_pem, None)
    account = acme.new_account(email=issuer.email, external_account=_external_account(ports, issuer))
    if account.status != "valid":
        raise AccountRefused(
            f"the CA says that the account of {issuer.reference} is {account.status}; delete its key Secret to register a new one"
        )
    before = ports.home.issuer_status(issuer)
    if account.existed and before.last_registered_email != issuer.email:
        acme.update_account(email=issuer.email)
    status = replace(
        before,
        uri=account.url,
        server=issuer.server,
        last_registered_email=issuer.email,
        last_private_key_hash=_key(key_pem, issuer).hash,
    )
    _write_condition(ports, issuer, status, ready=True, reason=REGISTERED, message=REGISTERED_MESSAGE)
    return Account(uri=account.url, key_pem=key_pem)


def _account_key(ports: Ports, issuer: Issuer) -> bytes:
    """The account key from its Secret; made and stored first, before the CA ever hears of it, if there is none."""
    namespace, ref = ports.home.secrets_namespace(issuer), issuer.private_key
    secret = ports.home.secret(namespace, ref.name)
    if secret is not None and secret.data.get(ref.key):
        return secret.data[ref.key]
    if issuer.disable_account_key_generation:
        raise AccountRefused(
            f"the account key Secret {namespace}/{ref.name} of {issuer.reference} is not there, and disableAccountKeyGeneration is set"
        )
    made = Secret(
        namespace=namespace, name=ref.name, type=OPAQUE_TYPE, data={ref.key: keys.generate_account_key(issuer.account_key_algorithm)}
    )
    if secret is None and ports.home.create_secret(made):
        return made.data[ref.key]
    if secret is not None:
        ports.home.write_secret(made)
        return made.data[ref.key]
    raise Busy(f"the account key of {issuer.reference} is being made", retry_after=0.5)


def _external_account(ports: Ports, issuer: Issuer) -> ExternalAccount | None:
    binding = issuer.external_account_binding
    if binding is None:
        return None
    text = secret_value(ports, issuer, binding.key_secret_ref, "external account key").decode("ascii", "replace").strip()
    try:
        return ExternalAccount.from_base64url(binding.key_id, text)
    except CertmillError as error:
        raise SecretUnusable(f"the external account key of {issuer.reference} cannot be used: {error}") from None


def _key(key_pem: bytes, issuer: Issuer) -> AccountKey:
    try:
        return AccountKey.from_pem(key_pem)
    except SecretUnusable as error:
        raise AccountRefused(f"the account key Secret {issuer.private_key.name} of {issuer.reference} cannot be used: {error}") from error


def _write_condition(ports: Ports, issuer: Issuer, status: IssuerStatus, *, ready: bool, reason: str, message: str) -> None:
    old = status.condition("Ready")
    changed = old is None or old.status != ready
    since = ports.clock.now() if changed or old is None else old.last_transition
    condition = Condition(type="Ready", status=ready, reason=reason, message=message, last_transition=since)
    ports.home.write_issuer_status(issuer, replace(status, conditions=(condition,)))
