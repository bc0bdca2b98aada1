"""The resources of ACME (RFC 8555 §7.1) as frozen values, read from a CA's JSON.

A required member that is missing or has a wrong type raises CAUnavailable. Unknown challenge types, statuses
and members are ignored, because CAs extend the protocol."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from certmill.acme.challenges import TOKEN_TYPES, is_token
from certmill.acme.fields import Json, clean, parse_time, text, texts
from certmill.acme.problems import Problem
from certmill.errors import CAUnavailable, SecretUnusable
from certmill.model.names import Identifier, IdentifierType

_MAX_URL_CHARACTERS: Final = 512
"""Limit for the URLs of an order, because they are stored in Redis while it runs. URLs of known CAs are
shorter than a third of this."""


class _Status(StrEnum):
    """Base of the status enums: a status that RFC 8555 does not define becomes "unknown"."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls("unknown")


class AccountStatus(_Status):
    """RFC 8555 §7.1.2."""

    VALID = "valid"
    DEACTIVATED = "deactivated"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class OrderStatus(_Status):
    """RFC 8555 §7.1.3."""

    PENDING = "pending"
    READY = "ready"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


class AuthorizationStatus(_Status):
    """RFC 8555 §7.1.4. Some CAs send `processing`, which the RFC does not define."""

    PENDING = "pending"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"
    DEACTIVATED = "deactivated"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class ChallengeStatus(_Status):
    """RFC 8555 §7.1.5."""

    PENDING = "pending"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalAccount:
    """External account binding (RFC 8555 §7.3.4): the credentials of a non-ACME account at the CA."""

    key_id: str
    mac_key: bytes = field(repr=False)

    @classmethod
    def from_base64url(cls, key_id: str, encoded: str) -> ExternalAccount:
        """Decode the MAC key from the CA: base64url or base64, with or without padding. Raises
        SecretUnusable; the message contains nothing of the key."""
        stripped = encoded.strip().rstrip("=").replace("+", "-").replace("/", "_")
        try:
            mac_key = b64decode(stripped + "=" * (-len(stripped) % 4), altchars=b"-_", validate=True)
        except (Base64Error, ValueError):
            mac_key = b""
        if not mac_key:
            raise SecretUnusable(f"the key of the external account {key_id} is not base64url")
        return cls(key_id=key_id, mac_key=mac_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """RFC 8555 §7.1.1. A URL that the CA does not offer is "". `profiles`: names with descriptions
    (draft-ietf-acme-profiles)."""

    new_nonce: str
    new_account: str
    new_order: str
    revoke_cert: str = ""
    key_change: str = ""
    renewal_info: str = ""
    terms_of_service: str = ""
    external_account_required: bool = False
    profiles: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, body: Json) -> Directory:
        """Raises CAUnavailable if `body` is not a valid directory."""
        meta = body.get("meta")
        meta = meta if isinstance(meta, Mapping) else {}
        profiles = meta.get("profiles")
        return cls(
            new_nonce=_need(body, "newNonce", "directory"),
            new_account=_need(body, "newAccount", "directory"),
            new_order=_need(body, "newOrder", "directory"),
            revoke_cert=text(body, "revokeCert"),
            key_change=text(body, "keyChange"),
            renewal_info=text(body, "renewalInfo"),
            terms_of_service=text(meta, "termsOfService"),
            external_account_required=meta.get("externalAccountRequired") is True,
            profiles={str(name): clean(str(description), 200) for name, description in profiles.items()}
            if isinstance(profiles, Mapping)
            else {},
        )

    @property
    def urls(self) -> tuple[str, ...]:
        """All URLs in it that receive requests."""
        named = (
            self.new_nonce,
            self.new_account,
            self.new_order,
            self.revoke_cert,
            self.key_change,
            self.renewal_info,
        )
        return tuple(url for url in named if url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """RFC 8555 §7.1.2. `existed`: the account existed before (newAccount answered 200, §7.3.1)."""

    url: str
    status: AccountStatus
    contact: tuple[str, ...] = ()
    existed: bool = True

    @classmethod
    def from_json(cls, body: Json, *, url: str, existed: bool = True) -> Account:
        """A body without a status means a valid account: some CAs omit it after newAccount."""
        status = AccountStatus(text(body, "status") or "valid")
        return cls(url=url, status=status, contact=texts(body.get("contact")), existed=existed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """RFC 8555 §7.1.3. `authorizations` are URLs; `certificate` is "" until it is issued; times are seconds
    since the epoch."""

    url: str
    status: OrderStatus
    identifiers: tuple[Identifier, ...]
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str = ""
    expires: float | None = None
    error: Problem | None = None
    retry_after: float | None = None

    @classmethod
    def from_json(cls, body: Json, *, url: str, retry_after: float | None = None) -> Order:
        """Raises CAUnavailable if `body` is not a valid order."""
        listed = body.get("identifiers")
        identifiers = tuple(_identifier(item) for item in listed) if isinstance(listed, list) else ()
        authorizations = texts(body.get("authorizations"))
        if len(authorizations) > 2 * max(1, len(identifiers)):
            raise CAUnavailable(
                f"the CA sent an order for {len(identifiers)} names with {len(authorizations)} authorizations"
            )
        return cls(
            url=url,
            status=OrderStatus(_need(body, "status", "order")),
            identifiers=identifiers,
            authorizations=tuple(_short(one) for one in authorizations),
            finalize=_short(_need(body, "finalize", "order")),
            certificate=_short(text(body, "certificate")),
            expires=parse_time(body.get("expires")),
            error=_problem(body.get("error")),
            retry_after=retry_after,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """RFC 8555 §7.1.5. `token` is "" for types without a token."""

    type: str
    url: str
    status: ChallengeStatus
    token: str = field(default="", repr=False)
    error: Problem | None = None

    @classmethod
    def from_json(cls, body: Json) -> Challenge:
        """Raises CAUnavailable if `body` is not a valid challenge, or its token is not valid by RFC 8555
        §8.1."""
        kind, token = _need(body, "type", "challenge"), text(body, "token")
        if kind in TOKEN_TYPES and not is_token(token):
            raise CAUnavailable(
                "the CA sent a challenge whose token is not base64url of at least 128 bits (RFC 8555 §8.1); "
                "it is not used"
            )
        return cls(
            type=clean(kind, 64),
            url=_short(_need(body, "url", "challenge")),
            status=ChallengeStatus(text(body, "status") or "pending"),
            token=token if is_token(token) else "",
            error=_problem(body.get("error")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """RFC 8555 §7.1.4. For a wildcard, `identifier` is the base name without `*.`, and `wildcard` is true."""

    url: str
    identifier: Identifier
    status: AuthorizationStatus
    challenges: tuple[Challenge, ...] = ()
    wildcard: bool = False
    expires: float | None = None
    retry_after: float | None = None

    @classmethod
    def from_json(cls, body: Json, *, url: str, retry_after: float | None = None) -> Authorization:
        """Raises CAUnavailable if `body` is not a valid authorization. Challenges without a type or a URL are
        ignored, because they cannot be used."""
        listed = body.get("challenges")
        usable = (
            [item for item in listed if isinstance(item, Mapping) and item.get("type") and item.get("url")]
            if isinstance(listed, list)
            else []
        )
        return cls(
            url=url,
            identifier=_identifier(body.get("identifier")),
            status=AuthorizationStatus(_need(body, "status", "authorization")),
            challenges=tuple(Challenge.from_json(item) for item in usable),
            wildcard=body.get("wildcard") is True,
            expires=parse_time(body.get("expires")),
            retry_after=retry_after,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedChain:
    """A certificate chain (PEM, leaf first), and the URLs of alternate chains for the same certificate (RFC
    8555 §7.4.2)."""

    pem: str
    alternates: tuple[str, ...] = ()


def _identifier(value: object) -> Identifier:
    """Read an identifier (RFC 8555 §9.7.7). Raises CAUnavailable for a type that certmill never requests."""
    if not isinstance(value, Mapping):
        raise CAUnavailable("the CA sent an identifier that is not a JSON object")
    kind = text(value, "type")
    if kind not in tuple(IdentifierType):
        raise CAUnavailable(f"the CA sent an identifier of a type that was not requested: {clean(kind, 32)}")
    return Identifier(
        type=IdentifierType(kind), value=clean(_need(value, "value", "identifier"), 253).lower()
    )


def _problem(value: object) -> Problem | None:
    return Problem.from_json(value) if isinstance(value, Mapping) else None


def _short(url: str) -> str:
    if len(url) > _MAX_URL_CHARACTERS:
        raise CAUnavailable(f"the CA sent a URL of {len(url)} characters; the limit is {_MAX_URL_CHARACTERS}")
    return url


def _need(body: Json, name: str, what: str) -> str:
    value = text(body, name)
    if not value:
        raise CAUnavailable(f"the CA sent a {what} without {name!r}, which RFC 8555 requires")
    return value
