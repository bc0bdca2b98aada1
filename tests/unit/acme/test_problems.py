from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from certmill.acme.problems import AcmeProblem, Problem, RequestTarget, problem_error, raise_error
from certmill.errors import (
    AccountRefused,
    CAUnavailable,
    CertmillError,
    FailureClass,
    NameRefused,
    OrderGone,
    OrderNotReady,
    OrderRefused,
    RateLimited,
)
from certmill.http.transport import Answer

URN = "urn:ietf:params:acme:error:"
NOW = 1_800_000_000.0
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
THUMBPRINT = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"


def answered(status, body=None, *, retry_after=None, headers=None):
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    found = HTTPHeaderDict(headers or {})
    return Answer(
        url="https://ca.example/x", status=status, headers=found, body=content, retry_after=retry_after
    )


def error_of(
    status,
    kind="",
    detail="because",
    *,
    about=RequestTarget.RESOURCE,
    retry_after=None,
    headers=None,
    **members,
):
    body = {"type": f"{URN}{kind}", "detail": detail, **members} if kind else None
    with pytest.raises(CertmillError) as caught:
        raise_error(
            answered(status, body, retry_after=retry_after, headers=headers),
            about=about,
            what="create an order for a.example",
            now=NOW,
        )
    return caught.value


@pytest.mark.parametrize(
    ("kind", "status", "about", "expected"),
    [
        ("accountDoesNotExist", 400, RequestTarget.RESOURCE, AccountRefused),
        ("accountDoesNotExist", 400, RequestTarget.ACCOUNT, AccountRefused),
        ("badCSR", 400, RequestTarget.RESOURCE, OrderRefused),
        ("badNonce", 400, RequestTarget.RESOURCE, CAUnavailable),
        ("badPublicKey", 400, RequestTarget.ACCOUNT, AccountRefused),
        ("badPublicKey", 400, RequestTarget.RESOURCE, OrderRefused),
        ("badRevocationReason", 400, RequestTarget.NEW_ORDER, OrderRefused),
        ("badSignatureAlgorithm", 400, RequestTarget.ACCOUNT, AccountRefused),
        ("caa", 403, RequestTarget.RESOURCE, NameRefused),
        ("connection", 400, RequestTarget.RESOURCE, NameRefused),
        ("dns", 400, RequestTarget.RESOURCE, NameRefused),
        ("externalAccountRequired", 403, RequestTarget.ACCOUNT, AccountRefused),
        ("incorrectResponse", 400, RequestTarget.RESOURCE, NameRefused),
        ("invalidContact", 400, RequestTarget.ACCOUNT, AccountRefused),
        ("invalidContact", 400, RequestTarget.NEW_ORDER, OrderRefused),
        ("malformed", 400, RequestTarget.ACCOUNT, AccountRefused),
        ("malformed", 400, RequestTarget.NEW_ORDER, OrderRefused),
        ("malformed", 404, RequestTarget.RESOURCE, OrderGone),
        ("malformed", 404, RequestTarget.NEW_ORDER, OrderRefused),
        ("orderNotReady", 403, RequestTarget.RESOURCE, OrderNotReady),
        ("rateLimited", 429, RequestTarget.NEW_ORDER, RateLimited),
        ("rateLimited", 503, RequestTarget.NEW_ORDER, RateLimited),
        ("rejectedIdentifier", 400, RequestTarget.NEW_ORDER, NameRefused),
        ("serverInternal", 500, RequestTarget.NEW_ORDER, CAUnavailable),
        ("tls", 400, RequestTarget.RESOURCE, NameRefused),
        ("unauthorized", 403, RequestTarget.ACCOUNT, AccountRefused),
        ("unauthorized", 403, RequestTarget.NEW_ORDER, NameRefused),
        ("unauthorized", 403, RequestTarget.RESOURCE, OrderGone),
        ("unsupportedContact", 400, RequestTarget.ACCOUNT, AccountRefused),
        ("unsupportedIdentifier", 400, RequestTarget.NEW_ORDER, NameRefused),
        ("userActionRequired", 403, RequestTarget.NEW_ORDER, AccountRefused),
        ("alreadyReplaced", 409, RequestTarget.NEW_ORDER, OrderRefused),
        ("invalidProfile", 400, RequestTarget.NEW_ORDER, OrderRefused),
        ("conflict", 409, RequestTarget.RESOURCE, OrderRefused),
        ("somethingNew", 400, RequestTarget.NEW_ORDER, OrderRefused),
    ],
)
def test_each_type_has_its_place_in_the_tree(kind, status, about, expected):
    error = error_of(status, kind, about=about)

    assert type(error) is expected
    assert error.acme_type == kind
    assert "because" in str(error)
    assert "create an order for a.example" in str(error)


@pytest.mark.parametrize(
    ("status", "about", "expected"),
    [
        (500, RequestTarget.NEW_ORDER, CAUnavailable),
        (502, RequestTarget.RESOURCE, CAUnavailable),
        (408, RequestTarget.RESOURCE, CAUnavailable),
        (301, RequestTarget.DIRECTORY, CAUnavailable),
        (429, RequestTarget.NEW_ORDER, RateLimited),
        (404, RequestTarget.RESOURCE, OrderGone),
        (410, RequestTarget.RESOURCE, OrderGone),
        (403, RequestTarget.RESOURCE, OrderGone),
        (404, RequestTarget.DIRECTORY, AccountRefused),
        (403, RequestTarget.ACCOUNT, AccountRefused),
        (409, RequestTarget.NEW_ORDER, OrderRefused),
    ],
)
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>no</html>", b"[" * 100_000, b'"text"', b"null"],
    ids=["none", "html", "deep", "text", "null"],
)
def test_an_answer_without_a_problem_document_goes_by_its_status(status, about, expected, body):
    with pytest.raises(CertmillError, match=r"^ca\.example ") as caught:
        raise_error(answered(status, body), about=about, what="do it", now=NOW)

    assert type(caught.value) is expected


def test_retry_after_is_kept():
    assert error_of(429, "rateLimited", retry_after=7.0).retry_after == 7.0
    assert error_of(503, retry_after=60.0).retry_after == 60.0


def test_boulders_time_in_the_text_stands_in_for_a_missing_header():
    error = error_of(
        429,
        "rateLimited",
        "too many certificates, retry after 2027-01-15 08:10:00 UTC: see https://le.example",
    )

    assert error.retry_after == 600.0


def test_a_paused_identifier_has_no_retry_after_and_says_where_to_go():
    error = error_of(
        429,
        "rateLimited",
        "Your account is paused for a.example; unpause at https://unpause.example/x",
        about=RequestTarget.NEW_ORDER,
    )

    assert error.retry_after is None
    assert "https://unpause.example/x" in str(error)
    assert error.failure_class is FailureClass.RATE_LIMITED


def test_the_names_of_subproblems_are_kept():
    """RFC 8555 §6.7.1."""
    subproblems = [
        {
            "type": f"{URN}rejectedIdentifier",
            "detail": "forbidden",
            "identifier": {"type": "dns", "value": "a.example"},
        },
        {"type": f"{URN}malformed", "detail": "has no dot", "identifier": {"type": "dns", "value": "b"}},
    ]

    error = error_of(400, "malformed", "Some names", about=RequestTarget.NEW_ORDER, subproblems=subproblems)

    assert isinstance(error, NameRefused)
    assert error.identifiers == ("a.example", "b")
    assert "a.example: forbidden; b: has no dot" in str(error)


def test_a_subproblem_has_none_of_its_own():
    nested = {"subproblems": [{"detail": "one", "subproblems": [{"detail": "two"}]}]}

    assert Problem.from_json(nested).subproblems == (Problem(detail="one"),)


def test_where_the_user_has_to_act_is_said():
    error = error_of(
        403,
        "userActionRequired",
        "terms changed",
        about=RequestTarget.NEW_ORDER,
        instance="https://ca.example/agree",
    )

    assert "see https://ca.example/agree" in str(error)


def test_a_conflict_keeps_where_it_pointed_to_and_its_problem():
    error = error_of(
        409, "conflict", about=RequestTarget.NEW_ORDER, headers={"Location": "https://ca.example/acct/7"}
    )

    cause = error.__cause__
    assert isinstance(cause, AcmeProblem)
    assert (cause.status, cause.location, cause.problem.type) == (
        409,
        "https://ca.example/acct/7",
        "conflict",
    )


@pytest.mark.parametrize(
    ("kind", "expected", "failure_class"),
    [
        ("dns", NameRefused, FailureClass.NAME_IS_WRONG),
        ("caa", NameRefused, FailureClass.NAME_IS_WRONG),
        ("connection", NameRefused, FailureClass.NAME_IS_WRONG),
        ("incorrectResponse", NameRefused, FailureClass.NAME_IS_WRONG),
        ("unauthorized", NameRefused, FailureClass.NAME_IS_WRONG),
        ("tls", NameRefused, FailureClass.NAME_IS_WRONG),
        ("malformed", NameRefused, FailureClass.NAME_IS_WRONG),
        ("", NameRefused, FailureClass.NAME_IS_WRONG),
        ("rateLimited", RateLimited, FailureClass.RATE_LIMITED),
        ("serverInternal", CAUnavailable, FailureClass.TRANSIENT),
        ("userActionRequired", AccountRefused, FailureClass.CA_REFUSES_US),
        ("badCSR", OrderRefused, FailureClass.CONFIGURATION),
        ("badPublicKey", OrderRefused, FailureClass.CONFIGURATION),
    ],
)
def test_the_problem_of_an_authorization_is_about_its_name(kind, expected, failure_class):
    error = problem_error(Problem(type=kind, detail="because"), name="*.a.example")

    assert type(error) is expected
    assert error.failure_class is failure_class
    assert "*.a.example" in str(error)
    if isinstance(error, NameRefused):
        assert error.identifiers == ("*.a.example",)


@pytest.mark.parametrize(
    "kind", ["rateLimited", "dns", "badCSR", "orderNotReady", "serverInternal", "unauthorized"]
)
def test_an_error_survives_pickling(kind):
    error = error_of(400, kind, retry_after=3.0)

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
    cause = pickle.loads(pickle.dumps(error.__cause__))  # noqa: S301 - our own
    assert (str(cause), cause.problem) == (str(error.__cause__), error.__cause__.problem)


@pytest.mark.parametrize(
    "detail",
    [
        f'The key authorization file did not match. Expected "{TOKEN}.{THUMBPRINT}" (got "x")',
        f"Invalid response from http://a.example/.well-known/acme-challenge/{TOKEN}: 404",
    ],
)
def test_key_authorizations_and_tokens_are_not_repeated(detail):
    message = str(
        problem_error(Problem.from_json({"type": f"{URN}unauthorized", "detail": detail}), name="a.example")
    )

    assert TOKEN not in message
    assert THUMBPRINT not in message


def test_a_host_name_in_the_text_stays():
    detail = "CNAME of _acme-challenge.a-very-long-label-indeed-yes-it-is.example.com is dead"

    assert Problem.from_json({"detail": detail}).detail == detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda below: (
        st.lists(below, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "detail", "title", "status", "identifier", "value", "subproblems", "instance"]
            ),
            below,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(JSON, st.sampled_from(list(RequestTarget)), st.integers(min_value=300, max_value=599))
def test_whatever_a_ca_answers_becomes_one_bounded_line(body, about, status):
    with pytest.raises(CertmillError) as caught:
        raise_error(answered(status, body), about=about, what="do it", now=NOW)

    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1000


@given(st.text(max_size=3000))
def test_any_detail_becomes_one_bounded_printable_line(detail):
    message = str(problem_error(Problem.from_json({"type": f"{URN}dns", "detail": detail}), name="a.example"))

    assert message.isprintable()
    assert len(message) < 700
