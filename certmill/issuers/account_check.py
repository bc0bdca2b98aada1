"""Whether a refused order is the account's fault: the CA is asked about the account itself, and nothing else
is believed.

An answer to an order is about that order. Without this, one name that a CA blocks would take the issuer, and
every certificate of it, away."""

from __future__ import annotations

from typing import Final

from certmill.acme.client import AcmeClient
from certmill.acme.resources import AccountStatus
from certmill.errors import AccountRefused, CertmillError
from certmill.model.issuer import Issuer

AMBIGUOUS: Final = "unauthorized"
"""The type (RFC 8555 §6.7) that may be about the order or about the account: §7.3.6 has it for every request
of a deactivated account."""
_OF_THE_ACCOUNT: Final = (AMBIGUOUS, "accountDoesNotExist", "externalAccountRequired", "userActionRequired")


def require_accepted(acme: AcmeClient, issuer: Issuer) -> None:
    """Raise AccountRefused if the CA says that it refuses the account. A CA that does not answer, or cannot,
    has not said so."""
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
