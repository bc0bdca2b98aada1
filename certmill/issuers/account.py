"""Provides the issuer's ACME account: its key is in a Secret, its URI in the issuer's status. Registers it if
needed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace

from certmill.acme.client import AcmeClient
from certmill.errors import (
    AccountRefused,
    Busy,
    CertmillError,
    HomeUnavailable,
    NotFound,
    RateLimited,
    StateUnavailable,
    Temporary,
)
from certmill.issuers import account_key, registration_backoff
from certmill.issuers.credentials import missing_solver_secrets
from certmill.issuers.tokens import Tokens, Wait, account_of
from certmill.model.issuer import Issuer
from certmill.model.status import Condition, IssuerStatus
from certmill.runs.ports import Ports
from certmill.state.buckets import Caller

REGISTERED = "ACMEAccountRegistered"
REGISTERED_MESSAGE = "The ACME account was registered with the ACME server"
REFUSED = "ErrRegisterACMEAccount"
LOST = "accountDoesNotExist"
"""The error type (RFC 8555 §6.7) after which the same key is registered again."""
UNVERIFIED = "ErrVerifyACMEAccount"
NOT_UPDATED = "ErrUpdateACMEAccount"
NOT_YET = "ErrInitIssuer"
"""The reason of the event for an error that may go away; the condition has one of the other reasons."""
INVALID_SOLVER = "InvalidSolver"
_LOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A registered account: its URI and its key."""

    uri: str
    key_pem: bytes = field(repr=False)


def registered(ports: Ports, issuer: Issuer) -> Account | None:
    """The account from the issuer's status, if its key, server and e-mail have not changed; else None. Sends
    no request to the CA.

    This includes an account that the CA refuses now: it stays the issuer's account until the CA no longer
    knows it. Raises SecretUnusable."""
    key_pem = account_key.stored_key(ports, issuer)
    status = ports.home.issuer_status(issuer)
    if (
        not key_pem
        or not _is_account(status, issuer, key_pem)
        or status.last_registered_email != issuer.email
    ):
        return None
    return Account(uri=status.uri, key_pem=key_pem)


def client(ports: Ports, issuer: Issuer) -> AcmeClient:
    """The ACME client of this thread for the issuer's account. Raises the errors of `require_registered`."""
    account = require_registered(ports, issuer)
    acme = ports.clients.client(issuer, account.key_pem, account.uri)
    acme.read_keys_from(account_key.StoredKeys(ports, issuer))
    return acme


def require_registered(ports: Ports, issuer: Issuer) -> Account:
    """The account that the steps of an order use.

    Raises AccountRefused with the type accountDoesNotExist if the account must be registered again first,
    because its key, e-mail or server changed. The engine then goes back to the first step."""
    account = registered(ports, issuer)
    if account is None:
        error = AccountRefused(
            f"{issuer.reference} has no registered account any more; it is registered again"
        )
        error.acme_type = LOST
        raise error
    return account


def forget(ports: Ports, issuer: Issuer) -> None:
    """The CA no longer knows the account (accountDoesNotExist): the next attempt registers the same key
    again."""
    ports.home.write_issuer_status(issuer, replace(ports.home.issuer_status(issuer), uri=""))


def refused(ports: Ports, issuer: Issuer, error: AccountRefused) -> None:
    """The CA refused the account in a request: set the issuer to not Ready, with the reason.

    A run that needs the account asks the CA again. A reconciliation of the issuer does so after an hour, or
    when the issuer or its Secrets change. The reason for the hour: registration may succeed each time
    although the CA refuses the account (userActionRequired), and after each success all failed Certificates
    of the issuer would be ordered again."""
    status = ports.home.issuer_status(issuer)
    if error.acme_type == LOST:
        status = replace(status, uri="")
    registration_backoff.give_up(ports, issuer, error)
    _write_condition(ports, issuer, status, ready=False, reason=REFUSED, message=str(error))


def register(ports: Ports, issuer: Issuer, owner: str) -> Account:
    """Make sure that the issuer has an account that the CA accepts, and write the issuer's status.

    After a Temporary, no worker asks the CA again until the back-off ends, unless the issuer or its Secrets
    change. Raises Busy (the back-off has not ended, or another worker registers the account), CAUnavailable,
    RateLimited, AccountRefused, NotFound, SecretUnusable and other CertmillErrors."""
    if issuer.deleting:
        raise NotFound(f"{issuer.reference} is being deleted")  # nothing is made or written for it any more
    try:
        return ready(ports, issuer) or _register_alone(ports, issuer, owner)
    except (Busy, StateUnavailable):
        raise
    except CertmillError as error:
        with suppress(HomeUnavailable):
            _record_failure(ports, issuer, error)
        raise


def confirm(ports: Ports, issuer: Issuer) -> str:
    """Write the status of a registered issuer. Returns the solver Secrets that are missing, or "" if the
    issuer is Ready. If any are missing, the issuer is not Ready (cert-manager's InvalidSolver), but its
    account can still be used with the solvers that work."""
    return _write_registered(ports, issuer, ports.home.issuer_status(issuer))


def ready(ports: Ports, issuer: Issuer) -> Account | None:
    """The account, if the issuer's status says that the CA accepts it; else None. Sends no request to the CA.
    Raises SecretUnusable."""
    found = ports.home.issuer_status(issuer).condition("Ready")
    return (
        registered(ports, issuer)
        if found is not None and (found.status or found.reason == INVALID_SOLVER)
        else None
    )


def _register_alone(ports: Ports, issuer: Issuer, owner: str) -> Account:
    """Register the account: one worker at a time, and not before the back-off ends."""
    registration_backoff.require_time(ports, issuer)
    if not ports.locks.acquire("account", issuer.reference, owner=owner, seconds=_LOCK_SECONDS):
        raise Busy(f"the account of {issuer.reference} is being registered")
    try:
        account = ready(ports, issuer)
        if account is None:
            registration_backoff.require_time(ports, issuer)
            account = _register(ports, issuer)
        ports.issuer_records.resume(issuer.ref)
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


def _record_failure(ports: Ports, issuer: Issuer, error: CertmillError) -> None:
    """Write why there is no account. A temporary error, for example a CA that is not available, does not make
    a confirmed account not Ready."""
    status = ports.home.issuer_status(issuer)
    reason = UNVERIFIED
    if not isinstance(error, account_key.KeyUnusable):
        ready, key_pem = status.condition("Ready"), account_key.stored_key(ports, issuer)
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
    key_pem = account_key.stored_or_new_key(ports, issuer)
    key_hash = account_key.key_hash(key_pem, issuer)
    acme = ports.clients.client(issuer, key_pem, None)
    external = account_key.external_account(ports, issuer)
    tokens = _tokens(ports, issuer, key_hash)
    with tokens.settled_after_errors():
        account = acme.new_account(email=issuer.email, external_account=external)
    if account.existed:
        tokens.give_back()
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


def _tokens(ports: Ports, issuer: Issuer, key_hash: str) -> Tokens:
    """The tokens of a new account, which are spent now. Raises RateLimited if there is none. All processes
    count as one IP address."""
    tokens = Tokens(
        ports=ports,
        issuer=issuer,
        purchase=account_of(issuer, "").new_account(),
        caller=Caller(id=issuer.reference, rank=None),
        receipt=f"account {issuer.reference} {key_hash}",
    )
    if isinstance(wait := tokens.take(), Wait):
        raise RateLimited(f"the registration {wait.reason}", retry_after=wait.seconds)
    return tokens


def _is_account(status: IssuerStatus, issuer: Issuer, key_pem: bytes) -> bool:
    """Whether the status describes an account with this key at this server."""
    return (
        bool(status.uri)
        and status.server == issuer.server
        and status.last_private_key_hash == account_key.key_hash(key_pem, issuer)
    )


def _write_registered(ports: Ports, issuer: Issuer, status: IssuerStatus) -> str:
    missing = missing_solver_secrets(ports.home, issuer)
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
    ports.gauges.note_issuer(issuer.ref, ready=ready)
