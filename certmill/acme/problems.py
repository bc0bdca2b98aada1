"""Read problem documents (RFC 8555 §6.7, RFC 7807) and turn them into errors of certmill/errors.py.

The meaning of a type depends on the request. Example `unauthorized`:
* request about the account: the account is refused;
* creating an order: the order is refused (Boulder: this account may not use the profile; other CAs: a name is
  blocked for the account). issuers.account_check finds out whether the account is refused too;
* reading an order: the order belongs to another account;
* failed challenge: the name is wrong.
The CA's text is untrusted data: messages contain it as one clean line of limited length."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NoReturn

from certmill.acme.fields import clean, text
from certmill.errors import (
    AccountRefused,
    CAUnavailable,
    CertmillError,
    NameRefused,
    OrderGone,
    OrderNotReady,
    OrderRefused,
    RateLimited,
)
from certmill.http.headers import retry_after_in_text
from certmill.http.transport import Answer, host_of

_SERVER_ERROR: Final = 500
_URN: Final = "urn:ietf:params:acme:error:"
_MAX_DETAIL_CHARACTERS: Final = 400
_MAX_SUBPROBLEMS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem document. `type` is without its URN prefix, "" if unknown. `identifiers` are the names that
    it or one of its subproblems is about."""

    type: str = ""
    detail: str = ""
    status: int = 0
    instance: str = ""
    identifiers: tuple[str, ...] = ()
    subproblems: tuple[Problem, ...] = ()

    @classmethod
    def from_json(cls, body: object) -> Problem:
        """Read a problem document; members of a wrong type are ignored. RFC 8555 §6.7.1: subproblems have no
        subproblems themselves."""
        return cls._read(body, depth=1)

    @classmethod
    def _read(cls, body: object, *, depth: int) -> Problem:
        if not isinstance(body, Mapping):
            return cls()
        below = body.get("subproblems") if depth else None
        listed = below[:_MAX_SUBPROBLEMS] if isinstance(below, list) else []
        subproblems = tuple(cls._read(sub, depth=depth - 1) for sub in listed)
        status = body.get("status")
        return cls(
            type=clean(text(body, "type"), 100).removeprefix(_URN),
            detail=clean(text(body, "detail") or text(body, "title"), _MAX_DETAIL_CHARACTERS),
            status=status if isinstance(status, int) else 0,
            instance=clean(text(body, "instance"), 200),
            identifiers=(
                *_name(body.get("identifier")),
                *(name for sub in subproblems for name in sub.identifiers),
            ),
            subproblems=subproblems,
        )

    @property
    def text(self) -> str:
        """The detail, the details of the subproblems, and the type, in one line of limited length."""
        below = (f"{', '.join(sub.identifiers)}: {sub.detail}".strip(": ") for sub in self.subproblems)
        parts = [self.detail.rstrip(". "), *below]
        reason = "; ".join(part for part in parts if part)
        reason = (
            reason if len(reason) <= _MAX_DETAIL_CHARACTERS else f"{reason[: _MAX_DETAIL_CHARACTERS - 1]}…"
        )
        return f"{reason} ({self.type})" if reason and self.type else reason or self.type or "no reason given"


class RequestTarget(Enum):
    """The subject of a request to a CA."""

    DIRECTORY = auto()
    ACCOUNT = auto()
    NEW_ORDER = auto()
    RESOURCE = auto()
    """An existing order, authorization, challenge or certificate."""


class AcmeProblem(Exception):
    """The cause (`__cause__`) of an error that was made from a CA's answer: the problem document, the HTTP
    status, and the header Location."""

    def __init__(self, problem: Problem, status: int, location: str) -> None:
        super().__init__(problem, status, location)
        self.problem = problem
        self.status = status
        self.location = location

    def __str__(self) -> str:
        return f"{self.problem.text}, HTTP {self.status}"


_ACCOUNT_ADVICE: Final = {
    "externalAccountRequired": (
        "this CA requires an external account: set spec.acme.externalAccountBinding to the key ID and "
        "the key that it gave you"
    ),
    "accountDoesNotExist": (
        "the CA has no account for this key; certmill registers it again with the same key"
    ),
    "userActionRequired": "the account's owner must accept something at the CA first",
    "unsupportedContact": "correct spec.acme.email",
    "invalidContact": "correct spec.acme.email",
    "badSignatureAlgorithm": ("use another type of account key: all CAs accept RSA-2048 and ECDSA P-256"),
    "badPublicKey": "use another account key: all CAs accept RSA-2048 and ECDSA P-256",
}
_ACCOUNT_ON_ANY_REQUEST: Final = frozenset(
    {"accountDoesNotExist", "externalAccountRequired", "userActionRequired", "badSignatureAlgorithm"}
)
"""RFC 8555 §6.7: these types are about the account, for every request. The other types of `_ACCOUNT_ADVICE`
are about the account only if the request was: `badPublicKey` for a CSR is about the certificate's key."""
_UNAUTHORIZED_ACCOUNT: Final = (
    "the account is deactivated, or its external account key is wrong or used up: "
    "correct spec.acme.externalAccountBinding, or delete the Secret of the account key to register a new one"
)
_NAME_ADVICE: Final = {
    "caa": "allow this CA in the CAA records of the name",
    "dns": "check that the name, and _acme-challenge below it, can be resolved from the Internet",
    "connection": "check that the name can be reached from the Internet (HTTP-01: on port 80)",
    "tls": "check that the server to which the name redirects accepts TLS",
    "incorrectResponse": "check that only this certmill answers challenges for the name",
    "rejectedIdentifier": "the CA does not issue for it; remove it from the Certificate",
    "unsupportedIdentifier": "the CA does not issue for names of this kind; remove it from the Certificate",
}
_UNAUTHORIZED_NAME: Final = "check that only this certmill answers challenges for the name"
_UNAUTHORIZED_ORDER: Final = (
    "check at the CA whether these names are blocked or paused for this account, and whether the account may "
    "use spec.acme.profile"
)
_ORDER_ADVICE: Final = {
    "invalidProfile": "set spec.acme.profile to one that the CA offers",
    "badCSR": "check the key and the names of the Certificate",
    "badPublicKey": "check the key of the Certificate",
    "alreadyReplaced": "order again without `replaces`",
}


def problem_error(problem: Problem, *, name: str) -> CertmillError:
    """Return the error for a failed authorization or order (RFC 8555 §7.1.6). `name` is the DNS name or
    address."""
    kind = problem.type
    if kind == "rateLimited":
        return _marked(RateLimited(f"the CA limits requests for {name}: {problem.text}"), problem)
    if kind in ("serverInternal", "badNonce"):
        return _marked(CAUnavailable(f"the CA failed while it validated {name}: {problem.text}"), problem)
    if kind in _ACCOUNT_ON_ANY_REQUEST:
        return _marked(
            AccountRefused(_line(f"the CA refuses {name}: {problem.text}", _ACCOUNT_ADVICE[kind])), problem
        )
    if kind in _ORDER_ADVICE:
        return _marked(
            OrderRefused(_line(f"the CA refuses {name}: {problem.text}", _ORDER_ADVICE[kind])), problem
        )
    advice = _NAME_ADVICE.get(kind, _UNAUTHORIZED_NAME if kind == "unauthorized" else "")
    message = _line(f"the CA could not validate {name}: {problem.text}", advice)
    return _marked(NameRefused(message, identifiers=problem.identifiers or (name,)), problem)


def raise_error(answer: Answer, *, about: RequestTarget, what: str, now: float) -> NoReturn:
    """Raise the error that an unsuccessful answer means. `what` describes the request, for the message:
    "create an order for example.com"."""
    problem = read_problem(answer)
    error = _error(answer, problem, about=about, what=what, now=now)
    raise _marked(error, problem) from AcmeProblem(problem, answer.status, answer.location)


def read_problem(answer: Answer) -> Problem:
    """The answer's problem document; an empty one if it has none."""
    try:
        return Problem.from_json(json.loads(answer.body))
    except (ValueError, RecursionError):
        return Problem()


def _error(answer: Answer, problem: Problem, *, about: RequestTarget, what: str, now: float) -> CertmillError:
    """By problem type first, then by HTTP status: a proxy in front of the CA sends no problem types."""
    host, kind, status = host_of(answer.url), problem.type, answer.status
    reason = problem.text if problem.detail or kind else f"HTTP {status}"
    if kind == "rateLimited" or status == 429:
        seconds = (
            answer.retry_after
            if answer.retry_after is not None
            else retry_after_in_text(problem.detail, now=now)
        )
        return RateLimited(f"{host} rate limit reached, cannot {what}: {reason}", retry_after=seconds)
    if status >= _SERVER_ERROR or kind in ("serverInternal", "badNonce") or status == 408:
        return CAUnavailable(f"{host} could not {what}: {reason}", retry_after=answer.retry_after)
    if status < 400:
        redirect = (
            f"it redirects to {clean(answer.location, 200)}"
            if answer.location
            else f"it answered HTTP {status}"
        )
        return CAUnavailable(
            f"{host} could not {what}: {redirect}; check that spec.acme.server is the URL of the directory "
            "itself"
        )
    refusal = f"{host} refuses to {what}: {reason}"
    if about is RequestTarget.DIRECTORY:
        return AccountRefused(_line(refusal, "check that spec.acme.server is the URL of an ACME directory"))
    return _refused(problem, status, about, refusal)


def _refused(problem: Problem, status: int, about: RequestTarget, refusal: str) -> CertmillError:
    kind = problem.type
    if kind in _ACCOUNT_ON_ANY_REQUEST or (about is RequestTarget.ACCOUNT and kind in _ACCOUNT_ADVICE):
        see = f": see {problem.instance}" if problem.instance else ""
        return AccountRefused(_line(refusal, f"{_ACCOUNT_ADVICE[kind]}{see}"))
    if kind == "orderNotReady":
        return OrderNotReady(refusal)
    # The order belongs to another account, or its authorizations have expired: only a new order can help.
    if about is RequestTarget.RESOURCE and (
        status in (404, 410) or kind == "unauthorized" or (not kind and status in (401, 403))
    ):
        return OrderGone(refusal)
    if about is RequestTarget.ACCOUNT:
        return AccountRefused(_line(refusal, _UNAUTHORIZED_ACCOUNT if kind == "unauthorized" else ""))
    if kind == "unauthorized" or kind in _NAME_ADVICE or _is_about_names(problem.subproblems):
        advice = _UNAUTHORIZED_ORDER if kind == "unauthorized" else _NAME_ADVICE.get(kind, "")
        return NameRefused(_line(refusal, advice), identifiers=problem.identifiers)
    return OrderRefused(_line(refusal, _ORDER_ADVICE.get(kind, "")))


def _is_about_names(subproblems: Sequence[Problem]) -> bool:
    return bool(subproblems) and all(sub.type in _NAME_ADVICE or sub.identifiers for sub in subproblems)


def _marked(error: CertmillError, problem: Problem) -> CertmillError:
    error.acme_type = problem.type
    return error


def _line(reason: str, advice: str) -> str:
    return f"{reason}; {advice}" if advice else reason


def _name(value: object) -> tuple[str, ...]:
    found = text(value, "value") if isinstance(value, Mapping) else ""
    return (clean(found, 253),) if found else ()
