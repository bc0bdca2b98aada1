"""The issuer's ACME account: its key from the home, its URI from the issuer's status, or registered now."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field, replace

from certmill.acme.client import AcmeClient
from certmill.acme.jws import AccountKey
from certmill.acme.resources import ExternalAccount
from certmill.crypto import keys
from certmill.errors import AccountRefused, Busy, CertmillError, HomeUnavailable, NotFound, SecretUnusable, StateUnavailable, Temporary
from certmill.model.issuer import Issuer, SecretKeyRef
from certmill.model.secret import OPAQUE_TYPE, Secret
from certmill.model.status import Condition, IssuerStatus
from certmill.pipeline import backoff
from certmill.pipeline.context import Ports
from certmill.pipeline.secret_contract import ACCOUNT_LABEL
from certmill.state.sightings import Postponement

REGISTERED = "ACMEAccountRegistered"
REGISTERED_MESSAGE = "The ACME account was registered with the ACME server"
REFUSED = "ErrRegisterACMEAccount"
LOST = "accountDoesNotExist"
"""The RFC 8555 §6.7 type that says: register again, with the same key."""
UNVERIFIED = "ErrVerifyACMEAccount"
_UNKNOWN_TO_CA = "accountDoesNotExist"
_LOCK_SECONDS = 60.0
MAX_CREDENTIAL_BYTES = 65_536
"""The largest that any provider gives out, a key file in JSON, has 3 kB."""


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
    what = f"the Secret {namespace}/{ref.name} with the {purpose} of {issuer.reference}"
    if not value:
        raise SecretUnusable(f"{what} has no key {ref.key!r}")
    if len(value) > MAX_CREDENTIAL_BYTES:
        raise SecretUnusable(f"{what} has more than {MAX_CREDENTIAL_BYTES} bytes under {ref.key!r}: that is none")
    return value


def registered(ports: Ports, issuer: Issuer) -> Account | None:
    """The account as the issuer's status has it, if key, server and e-mail are still the same; asks nobody.

    Also one that the CA refuses at the moment: it stays the account until the CA does not know it any more.
    """
    key_pem = _stored_key(ports, issuer)
    status = ports.home.issuer_status(issuer)
    if not key_pem or not _is_account(status, issuer, key_pem) or status.last_registered_email != issuer.email:
        return None
    return Account(uri=status.uri, key_pem=key_pem)


def client(ports: Ports, issuer: Issuer) -> AcmeClient:
    """The ACME client of this thread for the issuer's account. Raises AccountRefused, of type accountDoesNotExist, when the account
    has to be registered again first (its key, e-mail or server changed): the engine goes back to the first step."""
    account = registered(ports, issuer)
    if account is None:
        error = AccountRefused(f"{issuer.reference} has no registered account any more; it is registered again")
        error.acme_type = LOST
        raise error
    return ports.clients.client(issuer, account.key_pem, account.uri)


def forget(ports: Ports, issuer: Issuer) -> None:
    """The CA does not know the account any more (accountDoesNotExist): the same key is registered again with the next attempt."""
    ports.home.write_issuer_status(issuer, replace(ports.home.issuer_status(issuer), uri=""))


def refused(ports: Ports, issuer: Issuer, error: AccountRefused) -> None:
    """A request showed that the CA refuses the account: the issuer is not ready, and says why. The next `register` asks the CA again."""
    status = ports.home.issuer_status(issuer)
    if error.acme_type == _UNKNOWN_TO_CA:
        status = replace(status, uri="")
    _write_condition(ports, issuer, status, ready=False, reason=REFUSED, message=str(error))


def register(ports: Ports, issuer: Issuer, owner: str) -> Account:
    """Make sure that the issuer has an account that the CA accepts, and write its status.

    After a Temporary nobody asks the CA again before its time, unless the issuer or its Secrets change. Raises Busy (not yet, or somebody
    else is at it), CAUnavailable, RateLimited, AccountRefused, NotFound, SecretUnusable …
    """
    try:
        return _ready(ports, issuer) or _register_alone(ports, issuer, owner)
    except (Busy, StateUnavailable):
        raise
    except CertmillError as error:
        with suppress(HomeUnavailable):
            _tell(ports, issuer, error)
        raise


def postponed(ports: Ports, issuer: Issuer) -> Postponement | None:
    """Until when the CA is not asked, and why; None if nothing failed, or what failed was another issuer or other credentials."""
    found = ports.sightings.postponed(issuer.reference)
    return found if found is not None and found.cause == _cause(ports, issuer) else None


def _ready(ports: Ports, issuer: Issuer) -> Account | None:
    ready = ports.home.issuer_status(issuer).condition("Ready")
    return registered(ports, issuer) if ready is not None and ready.status else None


def _register_alone(ports: Ports, issuer: Issuer, owner: str) -> Account:
    """Register, in the whole fleet one at a time and at its time."""
    _require_time(ports, issuer)
    if ports.locks.take("account", issuer.reference, owner=owner, seconds=_LOCK_SECONDS):
        raise Busy(f"the account of {issuer.reference} is being registered")
    try:
        account = _ready(ports, issuer)
        if account is None:
            _require_time(ports, issuer)
            account = _register(ports, issuer)
        ports.sightings.resume(issuer.reference)
        return account
    except (Busy, StateUnavailable):
        raise
    except Temporary as error:
        _postpone(ports, issuer, error)
        raise
    finally:
        ports.locks.release("account", issuer.reference, owner=owner)


def _require_time(ports: Ports, issuer: Issuer) -> None:
    found, now = postponed(ports, issuer), ports.clock.now()
    if found is not None and found.until > now:
        raise Busy(f"the account of {issuer.reference} is not registered yet: {found.reason}", retry_after=found.until - now)


def _postpone(ports: Ports, issuer: Issuer, error: Temporary) -> None:
    before = postponed(ports, issuer)
    tries = before.tries + 1 if before is not None else 1
    seconds = backoff.step_delay(error, tries, ports.jitter())
    found = Postponement(until=ports.clock.now() + seconds, tries=tries, reason=str(error), cause=_cause(ports, issuer))
    ports.sightings.postpone(issuer.reference, found, kept_seconds=seconds + 2 * backoff.STEP.ceiling)


def _cause(ports: Ports, issuer: Issuer) -> str:
    """A digest of what a registration depends on: after a change of the issuer or its Secrets it is worth another try at once."""
    refs = [issuer.private_key] + ([issuer.external_account_binding.key_secret_ref] if issuer.external_account_binding else [])
    parts = [repr(issuer).encode()]
    for ref in refs:
        try:
            secret = ports.home.secret(ports.home.secrets_namespace(issuer), ref.name)
        except SecretUnusable as error:
            parts.append(str(error).encode())
        else:
            parts.append(secret.data.get(ref.key, b"") if secret is not None else b"")
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:24]


def _tell(ports: Ports, issuer: Issuer, error: CertmillError) -> None:
    """Write why there is no account. That a CA is away does not make an account unready that it has confirmed."""
    status = ports.home.issuer_status(issuer)
    ready = status.condition("Ready")
    if isinstance(error, Temporary) and ready is not None and ready.status:
        key_pem = _stored_key(ports, issuer)
        if key_pem and _is_account(status, issuer, key_pem):
            return
    reason = UNVERIFIED if isinstance(error, _KeyUnusable) else REFUSED
    _write_condition(ports, issuer, status, ready=False, reason=reason, message=str(error))


def _register(ports: Ports, issuer: Issuer) -> Account:
    key_pem = _account_key(ports, issuer)
    key_hash = _key(key_pem, issuer).hash
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
        last_private_key_hash=key_hash,
    )
    _write_condition(ports, issuer, status, ready=True, reason=REGISTERED, message=REGISTERED_MESSAGE)
    return Account(uri=account.url, key_pem=key_pem)


def _account_key(ports: Ports, issuer: Issuer) -> bytes:
    """The account key from its Secret; made and stored first, before the CA ever hears of it, if there is none."""
    namespace, ref = ports.home.secrets_namespace(issuer), issuer.private_key
    if stored := _stored_key(ports, issuer):
        return stored
    if issuer.disable_account_key_generation:
        raise AccountRefused(
            f"the account key Secret {namespace}/{ref.name} of {issuer.reference} is not there, and disableAccountKeyGeneration is set"
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
    text = secret_value(ports, issuer, binding.key_secret_ref, "external account key").decode("ascii", "replace").strip()
    try:
        return ExternalAccount.from_base64url(binding.key_id, text)
    except CertmillError as error:
        raise SecretUnusable(f"the external account key of {issuer.reference} cannot be used: {error}") from None


def _stored_key(ports: Ports, issuer: Issuer) -> bytes:
    """The account key as its Secret has it; empty if it is not there."""
    try:
        secret = ports.home.secret(ports.home.secrets_namespace(issuer), issuer.private_key.name)
    except SecretUnusable as error:
        raise _unusable(issuer, error) from error
    return secret.data.get(issuer.private_key.key, b"") if secret else b""


def _is_account(status: IssuerStatus, issuer: Issuer, key_pem: bytes) -> bool:
    """Whether the status tells of an account of this key at this server."""
    return bool(status.uri) and status.server == issuer.server and status.last_private_key_hash == _key(key_pem, issuer).hash


def _key(key_pem: bytes, issuer: Issuer) -> AccountKey:
    try:
        return AccountKey.from_pem(key_pem)
    except SecretUnusable as error:
        raise _unusable(issuer, error) from error


class _KeyUnusable(SecretUnusable):
    """The account key's Secret is there, but it holds no key that can be used."""


def _unusable(issuer: Issuer, error: SecretUnusable) -> _KeyUnusable:
    return _KeyUnusable(f"the account key Secret {issuer.private_key.name} of {issuer.reference} cannot be used: {error}")


def _write_condition(ports: Ports, issuer: Issuer, status: IssuerStatus, *, ready: bool, reason: str, message: str) -> None:
    old = status.condition("Ready")
    changed = old is None or old.status != ready
    since = ports.clock.now() if changed or old is None else old.last_transition
    condition = Condition(type="Ready", status=ready, reason=reason, message=message, last_transition=since)
    ports.home.write_issuer_status(issuer, replace(status, conditions=(condition,)))
