"""The issuer's ACME account: its key from the home, its URI from the issuer's status, or registered now."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace

from certmill.acme.client import AcmeClient
from certmill.acme.jws import AccountKey
from certmill.acme.resources import ExternalAccount
from certmill.certificates.secret_contract import ACCOUNT_LABEL
from certmill.crypto import keys
from certmill.errors import (
    AccountRefused,
    Busy,
    CertmillError,
    HomeUnavailable,
    NotFound,
    SecretUnusable,
    StateUnavailable,
    Temporary,
)
from certmill.issuers import registration_backoff
from certmill.issuers.credentials import missing_solver_secrets, secret_value
from certmill.model.annotations import CERTIFICATE_NAME
from certmill.model.issuer import Issuer
from certmill.model.secret import OPAQUE_TYPE, Secret
from certmill.model.status import Condition, IssuerStatus
from certmill.runs.context import Ports

REGISTERED = "ACMEAccountRegistered"
REGISTERED_MESSAGE = "The ACME account was registered with the ACME server"
REFUSED = "ErrRegisterACMEAccount"
LOST = "accountDoesNotExist"
"""The RFC 8555 §6.7 type that says: register again, with the same key."""
UNVERIFIED = "ErrVerifyACMEAccount"
NOT_UPDATED = "ErrUpdateACMEAccount"
NOT_YET = "ErrInitIssuer"
"""The event's reason where another try may do; the condition has one of the others."""
INVALID_SOLVER = "InvalidSolver"
_LOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A registered account: its URI and its key."""

    uri: str
    key_pem: bytes = field(repr=False)


def registered(ports: Ports, issuer: Issuer) -> Account | None:
    """The account as the issuer's status has it, if key, server and e-mail are still the same; asks nobody.

    Also one that the CA refuses at the moment: it stays the account until the CA does not know it any more.
    """
    key_pem = _stored_key(ports, issuer)
    status = ports.home.issuer_status(issuer)
    if (
        not key_pem
        or not _is_account(status, issuer, key_pem)
        or status.last_registered_email != issuer.email
    ):
        return None
    return Account(uri=status.uri, key_pem=key_pem)


def client(ports: Ports, issuer: Issuer) -> AcmeClient:
    """The ACME client of this thread for the issuer's account. Raises what `require_registered` raises."""
    account = require_registered(ports, issuer)
    return ports.clients.client(issuer, account.key_pem, account.uri)


def require_registered(ports: Ports, issuer: Issuer) -> Account:
    """The account that the steps of an order use.

    Raises AccountRefused, of type accountDoesNotExist, when the account has to be registered again first (its
    key, e-mail or server changed): the engine goes back to the first step."""
    account = registered(ports, issuer)
    if account is None:
        error = AccountRefused(
            f"{issuer.reference} has no registered account any more; it is registered again"
        )
        error.acme_type = LOST
        raise error
    return account


def forget(ports: Ports, issuer: Issuer) -> None:
    """The CA does not know the account any more (accountDoesNotExist): the same key is registered again with
    the next attempt."""
    ports.home.write_issuer_status(issuer, replace(ports.home.issuer_status(issuer), uri=""))


def refused(ports: Ports, issuer: Issuer, error: AccountRefused) -> None:
    """A request showed that the CA refuses the account: the issuer is not ready, and says why.

    A run that needs the account asks the CA again; a look at the issuer does so after an hour, or when it or
    its Secrets change. To register may well succeed again and again (userActionRequired), and each time what
    failed under the issuer would be ordered anew."""
    status = ports.home.issuer_status(issuer)
    if error.acme_type == LOST:
        status = replace(status, uri="")
    registration_backoff.give_up(ports, issuer, error)
    _write_condition(ports, issuer, status, ready=False, reason=REFUSED, message=str(error))


def register(ports: Ports, issuer: Issuer, owner: str) -> Account:
    """Make sure that the issuer has an account that the CA accepts, and write its status.

    After a Temporary nobody asks the CA again before its time, unless the issuer or its Secrets change.
    Raises Busy (not yet, or somebody else is at it), CAUnavailable, RateLimited, AccountRefused, NotFound,
    SecretUnusable …"""
    if issuer.deleting:
        raise NotFound(f"{issuer.reference} is being deleted")  # nothing is made, or told, for it any more
    try:
        return ready(ports, issuer) or _register_alone(ports, issuer, owner)
    except (Busy, StateUnavailable):
        raise
    except CertmillError as error:
        with suppress(HomeUnavailable):
            _tell(ports, issuer, error)
        raise


def confirm(ports: Ports, issuer: Issuer) -> str:
    """Say of a registered issuer that it is ready, or which Secrets its solvers lack ("" if none): then it is
    not (cert-manager's InvalidSolver), and its account serves on for those of its solvers that can work."""
    return _write_registered(ports, issuer, ports.home.issuer_status(issuer))


def ready(ports: Ports, issuer: Issuer) -> Account | None:
    """The account, if the issuer's status says that the CA accepts it; asks nobody. Raises SecretUnusable."""
    found = ports.home.issuer_status(issuer).condition("Ready")
    return (
        registered(ports, issuer)
        if found is not None and (found.status or found.reason == INVALID_SOLVER)
        else None
    )


def _register_alone(ports: Ports, issuer: Issuer, owner: str) -> Account:
    """Register, in the whole fleet one at a time and at its time."""
    registration_backoff.require_time(ports, issuer)
    if ports.locks.take("account", issuer.reference, owner=owner, seconds=_LOCK_SECONDS):
        raise Busy(f"the account of {issuer.reference} is being registered")
    try:
        account = ready(ports, issuer)
        if account is None:
            registration_backoff.require_time(ports, issuer)
            account = _register(ports, issuer)
        ports.issuer_records.resume(issuer.reference)
        return account
    except (Busy, StateUnavailable):
        raise
    except Temporary as error:
        registration_backoff.postpone(ports, issuer, error)
        raise
    except CertmillError as error:
        registration_backoff.give_up(ports, issuer, error)
        raise
    finally:
        ports.locks.release("account", issuer.reference, owner=owner)


def _tell(ports: Ports, issuer: Issuer, error: CertmillError) -> None:
    """Write why there is no account. That a CA is away does not make an account unready that it has
    confirmed."""
    status = ports.home.issuer_status(issuer)
    reason = UNVERIFIED
    if not isinstance(error, _KeyUnusable):
        ready, key_pem = status.condition("Ready"), _stored_key(ports, issuer)
        known = bool(key_pem) and _is_account(status, issuer, key_pem)
        if known and isinstance(error, Temporary) and ready is not None and ready.status:
            return
        reason = NOT_UPDATED if known and status.last_registered_email != issuer.email else REFUSED
    _write_condition(ports, issuer, status, ready=False, reason=reason, message=str(error))
    if isinstance(error, Temporary):
        ports.events.record_issuer_event(issuer, NOT_YET, f"Error initializing issuer: {error}", warning=True)
    else:
        ports.events.record_issuer_event(issuer, reason, str(error), warning=True)


def _register(ports: Ports, issuer: Issuer) -> Account:
    key_pem = _account_key(ports, issuer)
    key_hash = _key(key_pem, issuer).hash
    acme = ports.clients.client(issuer, key_pem, None)
    account = acme.new_account(email=issuer.email, external_account=_external_account(ports, issuer))
    if account.status != "valid":
        raise AccountRefused(
            f"the CA says that the account of {issuer.reference} is {account.status}; delete its key Secret "
            "to register a new one"
        )
    before = ports.home.issuer_status(issuer)
    if account.existed and before.last_registered_email != issuer.email:
        acme.update_account(email=issuer.email)
    status = replace(
        before,
        uri=account.url,
        server=issuer.server,
        last_registered_email=issuer.email,
        last_private_key_hash=key_hash,
    )
    _write_registered(ports, issuer, status)
    return Account(uri=account.url, key_pem=key_pem)


def _account_key(ports: Ports, issuer: Issuer) -> bytes:
    """The account key from its Secret; made and stored first, before the CA ever hears of it, if there is
    none."""
    namespace, ref = ports.home.secrets_namespace(issuer), issuer.private_key
    if stored := _stored_key(ports, issuer):
        return stored
    if issuer.disable_account_key_generation:
        raise _KeyUnusable(
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


def _external_account(ports: Ports, issuer: Issuer) -> ExternalAccount | None:
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


def _stored_key(ports: Ports, issuer: Issuer) -> bytes:
    """The account key as its Secret has it; empty if it is not there."""
    try:
        secret = ports.home.secret(ports.home.secrets_namespace(issuer), issuer.private_key.name)
    except SecretUnusable as error:
        raise _unusable(issuer, error) from error
    owner = secret.annotations.get(CERTIFICATE_NAME, "") if secret else ""
    if owner:  # whoever serves the certificate would have the account too, and its renewal would end it
        raise _unusable(
            issuer,
            SecretUnusable(
                f"it is the Secret of Certificate {owner}; choose another spec.acme.privateKeySecretRef"
            ),
        )
    return secret.data.get(issuer.private_key.key, b"") if secret else b""


def _is_account(status: IssuerStatus, issuer: Issuer, key_pem: bytes) -> bool:
    """Whether the status tells of an account of this key at this server."""
    return (
        bool(status.uri)
        and status.server == issuer.server
        and status.last_private_key_hash == _key(key_pem, issuer).hash
    )


def _key(key_pem: bytes, issuer: Issuer) -> AccountKey:
    try:
        return AccountKey.from_pem(key_pem)
    except SecretUnusable as error:
        raise _unusable(issuer, error) from error


class _KeyUnusable(SecretUnusable):
    """The account key's Secret holds no key that can be used, or is not there and must not be made."""


def _unusable(issuer: Issuer, error: SecretUnusable) -> _KeyUnusable:
    return _KeyUnusable(
        f"the account key Secret {issuer.private_key.name} of {issuer.reference} cannot be used: {error}"
    )


def _write_registered(ports: Ports, issuer: Issuer, status: IssuerStatus) -> str:
    missing = missing_solver_secrets(ports, issuer)
    reason, message = (INVALID_SOLVER, missing) if missing else (REGISTERED, REGISTERED_MESSAGE)
    _write_condition(ports, issuer, status, ready=not missing, reason=reason, message=message)
    return missing


def _write_condition(
    ports: Ports, issuer: Issuer, status: IssuerStatus, *, ready: bool, reason: str, message: str
) -> None:
    old = status.condition("Ready")
    changed = old is None or old.status != ready
    since = ports.clock.now() if changed or old is None else old.last_transition
    condition = Condition(type="Ready", status=ready, reason=reason, message=message, last_transition=since)
    ports.home.write_issuer_status(issuer, replace(status, conditions=(condition,)))
    ports.gauges.note_issuer(issuer.reference, ready=ready)
