"""Names of the requests to a CA, for metrics. They are cert-manager's names where cert-manager sends the same
request."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """The label `action` of certmanager_http_acme_client_request_count."""

    DISCOVER = "discover"
    NEW_NONCE = "new_nonce"
    REGISTER_ACCOUNT = "register_account"
    GET_REGISTRATION = "get_registration"
    UPDATE_REGISTRATION = "update_registration"
    DEACTIVATE_ACCOUNT = "deactivate_account"
    CHANGE_KEY = "change_key"
    AUTHORIZE_ORDER = "authorize_order"
    """Creates the order, as in cert-manager."""
    GET_ORDER = "get_order"
    GET_AUTHORIZATION = "get_authorization"
    DEACTIVATE_AUTHORIZATION = "deactivate_authorization"
    ACCEPT_CHALLENGE = "accept_challenge"
    CREATE_ORDER_CERT = "create_order_cert"
    """Finalizes the order."""
    FETCH_CERT = "fetch_cert"
    REVOKE_CERT = "revoke_cert"
    GET_RENEWAL_INFO = "get_renewal_info"
