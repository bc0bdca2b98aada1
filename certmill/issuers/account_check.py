"""Checks whether an order was refused because of the account: it asks the CA about the account itself.

The answer to an order is only about that order. Without this check, one name that a CA blocks would make the
issuer not Ready and block all its Certificates."""

from __future__ import annotations

from typing import Final

from certmill.acme.client import AcmeClient
from certmill.acme.resources import AccountStatus
from certmill.errors import AccountRefused, CertmillError
from certmill.model.issuer import Issuer

AMBIGUOUS: Final = "unauthorized"
"""An error type (RFC 8555 §6.7) that may be about the order or about the account. By §7.3.6 the server
answers every request of a deactivated account with it."""
_OF_THE_ACCOUNT: Final = (AMBIGUOUS, "accountDoesNotExist", "externalAccountRequired", "userActionRequired")


def require_accepted(acme: AcmeClient, issuer: Issuer) -> None:
    """Raises AccountRefused if the CA says that it refuses the account. If the CA does not answer, or fails,
    the account counts as accepted."""
    try:
        account = acme.account()
    except AccountRefused as error:
        if error.acme_type in _OF_THE_ACCOUNT:
            raise
        return
    except CertmillError:
        return
    if account.status in (AccountStatus.DEACTIVATED, AccountStatus.REVOKED):
        raise AccountRefused(
            f"the CA says that the account of {issuer.reference} is {account.status}; delete its key Secret "
            "to register a new one"
        )
