"""What a person asks of an issuer's account: another key (RFC 8555 §7.3.5), or its end (§7.3.6)."""

from __future__ import annotations

from typing import Final

from certmill.acme.jws import AccountKey
from certmill.crypto import keys
from certmill.errors import AccountRefused, Busy, InvalidManifest
from certmill.issuers import account, account_key
from certmill.issuers.account import Account
from certmill.model.issuer import Issuer
from certmill.observe.log import get_logger
from certmill.runs.ports import Ports

_LOCK_SECONDS: Final = 120.0

log = get_logger("certmill.accounts")


def roll_over(ports: Ports, issuer: Issuer, *, owner: str) -> str:
    """Give the account a new key. Returns the hash of the key that the account has now.

    The new key is stored beside the old one before the CA gets it. So if the process dies, one of the two
    stored keys is the account's: a second call, or the first request of a run, finds out which. Raises Busy
    (the account is being registered), InvalidManifest (the key is not certmill's to change), AccountRefused,
    CAUnavailable, RateLimited, SecretUnusable, StateUnavailable and the errors of the home."""
    if issuer.disable_account_key_generation:
        raise InvalidManifest(
            f"the account key of {issuer.reference} is yours: certmill does not change it",
            path="spec.acme.disableAccountKeyGeneration",
        )
    if not ports.locks.acquire("account", issuer.reference, owner=owner, seconds=_LOCK_SECONDS):
        raise Busy(f"the account of {issuer.reference} is being registered or changed; try again in a minute")
    try:
        found = account.require_registered(ports, issuer)
        key_pem = _new_key(ports, issuer, found)
        account_key.replace_key(ports, issuer, key_pem)
    finally:
        ports.locks.release("account", issuer.reference, owner=owner)
    log.warning("account.key_changed", issuer=issuer.reference, account=found.uri)
    ports.events.record_issuer_event(issuer, "AccountKeyChanged", f"The account {found.uri} has a new key")
    return account_key.key_hash(key_pem, issuer)


def _new_key(ports: Ports, issuer: Issuer, found: Account) -> bytes:
    """The new key of the account: the one of a rollover that was interrupted, or another one. The CA has
    accepted it."""
    following = account_key.stored_keys(ports, issuer)[1]
    if not following:
        following = keys.generate_account_key(issuer.account_key_algorithm)
        account_key.write_keys(ports, issuer, found.key_pem, following=following)
    elif _is_of_account(ports, issuer, following, found):
        return following
    ports.clients.client(issuer, found.key_pem, found.uri).change_key(AccountKey.from_pem(following))
    return following


def deactivate(ports: Ports, issuer: Issuer) -> str:
    """Deactivate the account for ever, and set the issuer to not Ready. Returns the account's URL. The CA
    refuses the key from now on, so it is not registered again.

    Raises AccountRefused, CAUnavailable, RateLimited, SecretUnusable, StateUnavailable and the errors of the
    home."""
    found = account.require_registered(ports, issuer)
    account.client(ports, issuer).deactivate_account()
    error = AccountRefused(
        f"the account {found.uri} was deactivated by `certmill account deactivate`; delete Secret "
        f"{ports.home.secrets_namespace(issuer)}/{issuer.private_key.name} to register a new one"
    )
    account.refused(ports, issuer, error)
    log.warning("account.deactivated", issuer=issuer.reference, account=found.uri)
    ports.events.record_issuer_event(issuer, account.REFUSED, str(error), warning=True)
    return found.uri


def _is_of_account(ports: Ports, issuer: Issuer, key_pem: bytes, found: Account) -> bool:
    """Whether the CA has changed the account's key to this one already, in a rollover that was
    interrupted."""
    try:
        known = ports.clients.client(issuer, key_pem, None).new_account(only_return_existing=True)
    except AccountRefused as error:
        if error.acme_type == account.LOST:
            return False
        raise
    return known.url == found.uri
