"""Problem documents (RFC 8555 §6.7, RFC 7807): read, and turned into the tree of certmill/errors.py.

What a type means depends on what was asked: `unauthorized` is about the account only when the account was
asked about. When an order is created it is about that order (Boulder: a profile that this account may not
use; other CAs: a name that they block for it), and whether the account is refused too, only the account
itself tells (issuers.account_check). When an order is read it is about one that is not ours any more, and
about the name when a challenge failed. The CA's text is data from outside: one clean, bounded line."""

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
    """A problem document. `type` is without its URN, "" if unknown; `identifiers` are the names it, or a
    subproblem, is about."""

    type: str = ""
    detail: str = ""
    status: int = 0
    instance: str = ""
    identifiers: tuple[str, ...] = ()
    subproblems: tuple[Problem, ...] = ()

    @classmethod
    def from_json(cls, body: object) -> Problem:
        """Read one, whatever it looks like; what makes no sense is left out. RFC 8555 §6.7.1: subproblems
        have none themselves."""
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
        """The detail, those of the subproblems, and the type, in one bounded line."""
        below = (f"{', '.join(sub.identifiers)}: {sub.detail}".strip(": ") for sub in self.subproblems)
        parts = [self.detail.rstrip(". "), *below]
        said = "; ".join(part for part in parts if part)
        said = said if len(said) <= _MAX_DETAIL_CHARACTERS else f"{said[: _MAX_DETAIL_CHARACTERS - 1]}…"
        return f"{said} ({self.type})" if said and self.type else said or self.type or "no reason given"


class RequestTarget(Enum):
    """What a request was about."""

    DIRECTORY = auto()
    ACCOUNT = auto()
    NEW_ORDER = auto()
    RESOURCE = auto()
    """An order, authorization, challenge or certificate that the CA told us of."""


class AcmeProblem(Exception):
    """The cause (`__cause__`) of an error that a CA's answer led to: the problem document, the HTTP status,
    and where it pointed to."""

    def __init__(self, problem: Problem, status: int, location: str) -> None:
        super().__init__(problem, status, location)
        self.problem = problem
        self.status = status
        self.location = location

    def __str__(self) -> str:
        return f"{self.problem.text}, HTTP {self.status}"


_ACCOUNT_ADVICE: Final = {
    "externalAccountRequired": (
        "this CA wants an external account: set spec.acme.externalAccountBinding to the key id and key it "
        "gave you"
    ),
    "accountDoesNotExist": (
        "the CA has no account for this key any more; it is registered again with the same key"
    ),
    "userActionRequired": "the account's owner has to agree to something at the CA first",
    "unsupportedContact": "correct spec.acme.email",
    "invalidContact": "correct spec.acme.email",
    "badSignatureAlgorithm": (
        "use another kind of account key: RSA-2048 or ECDSA P-256 are accepted everywhere"
    ),
    "badPublicKey": "use another account key: RSA-2048 or ECDSA P-256 are accepted everywhere",
}
_ACCOUNT_ON_ANY_REQUEST: Final = frozenset(
    {"accountDoesNotExist", "externalAccountRequired", "userActionRequired", "badSignatureAlgorithm"}
)
"""RFC 8555 §6.7: these are about the account, whatever was asked. The others of `_ACCOUNT_ADVICE` are so only
where the account was asked about: `badPublicKey` in answer to a CSR is about the key of that certificate."""
_UNAUTHORIZED_ACCOUNT: Final = (
    "the account is deactivated, or its external account key is wrong or used up: "
    "correct spec.acme.externalAccountBinding, or delete the Secret of the account key to register a new one"
)
_NAME_ADVICE: Final = {
    "caa": "allow this CA in the CAA records of the name",
    "dns": "see that the name, and _acme-challenge below it, can be resolved from the Internet",
    "connection": "see that the name can be reached from the Internet (HTTP-01: on port 80)",
    "tls": "see that what the name redirects to speaks TLS",
    "incorrectResponse": "see that this certmill answers for the name, and nothing else does",
    "rejectedIdentifier": "the CA does not issue for it; remove it from the Certificate",
    "unsupportedIdentifier": "the CA does not issue for names of this kind; remove it from the Certificate",
}
_UNAUTHORIZED_NAME: Final = "see that this certmill answers for the name, and nothing else does"
_UNAUTHORIZED_ORDER: Final = (
    "see at the CA whether these names are blocked or paused for its account, and whether the account may "
    "use spec.acme.profile"
)
_ORDER_ADVICE: Final = {
    "invalidProfile": "set spec.acme.profile to one that the CA offers",
    "badCSR": "see the key and the names of the Certificate",
    "badPublicKey": "see the key of the Certificate",
    "alreadyReplaced": "order again without `replaces`",
}


def problem_error(problem: Problem, *, name: str) -> CertmillError:
    """The error for an authorization or order that failed (RFC 8555 §7.1.6), to be raised or kept; `name` is
    what it was for."""
    kind = problem.type
    if kind == "rateLimited":
        return _marked(RateLimited(f"the CA limits what concerns {name}: {problem.text}"), problem)
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
    """Raise what an answer that is no success means. `what` is what we asked for: "create an order for
    example.com"."""
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
    """By type first, then by status: a proxy in front of the CA knows no types."""
    host, kind, status = host_of(answer.url), problem.type, answer.status
    said = problem.text if problem.detail or kind else f"HTTP {status}"
    if kind == "rateLimited" or status == 429:
        seconds = (
            answer.retry_after
            if answer.retry_after is not None
            else retry_after_in_text(problem.detail, now=now)
        )
        return RateLimited(f"{host} limits how often one may {what}: {said}", retry_after=seconds)
    if status >= _SERVER_ERROR or kind in ("serverInternal", "badNonce") or status == 408:
        return CAUnavailable(f"{host} could not {what}: {said}", retry_after=answer.retry_after)
    if status < 400:
        redirect = (
            f"it redirects to {clean(answer.location, 200)}"
            if answer.location
            else f"it answered HTTP {status}"
        )
        return CAUnavailable(
            f"{host} could not {what}: {redirect}; see that spec.acme.server is the URL of the directory "
            "itself"
        )
    refusal = f"{host} refuses to {what}: {said}"
    if about is RequestTarget.DIRECTORY:
        return AccountRefused(_line(refusal, "see that spec.acme.server is the URL of an ACME directory"))
    return _refused(problem, status, about, refusal)


def _refused(problem: Problem, status: int, about: RequestTarget, refusal: str) -> CertmillError:
    kind = problem.type
    if kind in _ACCOUNT_ON_ANY_REQUEST or (about is RequestTarget.ACCOUNT and kind in _ACCOUNT_ADVICE):
        see = f": see {problem.instance}" if problem.instance else ""
        return AccountRefused(_line(refusal, f"{_ACCOUNT_ADVICE[kind]}{see}"))
    if kind == "orderNotReady":
        return OrderNotReady(refusal)
    # An order that belongs to another account, or whose authorizations have expired, is lost to us; a new one
    # tells more.
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


def _line(said: str, advice: str) -> str:
    return f"{said}; {advice}" if advice else said


def _name(value: object) -> tuple[str, ...]:
    found = text(value, "value") if isinstance(value, Mapping) else ""
    return (clean(found, 253),) if found else ()
