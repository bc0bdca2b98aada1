from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.acme.fields import parse_time
from certmill.acme.problems import Problem
from certmill.acme.resources import (
    Account,
    AccountStatus,
    Authorization,
    AuthorizationStatus,
    Challenge,
    ChallengeStatus,
    Directory,
    ExternalAccount,
    Order,
    OrderStatus,
)
from certmill.errors import CAUnavailable, SecretUnusable
from certmill.model.names import Identifier, IdentifierType

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
ORDER = {
    "status": "pending",
    "expires": "2026-11-24T12:00:00Z",
    "identifiers": [{"type": "dns", "value": "A.example"}, {"type": "ip", "value": "192.0.2.1"}],
    "authorizations": ["https://ca.example/authz/1", "https://ca.example/authz/2"],
    "finalize": "https://ca.example/finalize/1",
}
CHALLENGE = {"type": "dns-01", "url": "https://ca.example/chall/1", "status": "pending", "token": TOKEN}
AUTHORIZATION = {
    "status": "pending",
    "identifier": {"type": "dns", "value": "a.example"},
    "challenges": [CHALLENGE],
    "wildcard": True,
}


def test_an_order_is_read():
    order = Order.from_json(ORDER, url="https://ca.example/order/1", retry_after=3.0)

    assert order == Order(
        url="https://ca.example/order/1",
        status=OrderStatus.PENDING,
        identifiers=(
            Identifier(type=IdentifierType.DNS, value="a.example"),
            Identifier(type=IdentifierType.IP, value="192.0.2.1"),
        ),
        authorizations=("https://ca.example/authz/1", "https://ca.example/authz/2"),
        finalize="https://ca.example/finalize/1",
        expires=1795521600.0,
        retry_after=3.0,
    )


@pytest.mark.parametrize(
    "part",
    [
        {"authorizations": [f"https://ca.example/authz/{number}" for number in range(1000)]},
        {"authorizations": ["https://ca.example/" + "a" * 100_000]},
        {"finalize": "https://ca.example/" + "a" * 100_000},
        {"certificate": "https://ca.example/" + "a" * 100_000},
    ],
    ids=["a thousand authorizations", "authorizations", "finalize", "certificate"],
)
def test_an_order_with_more_than_can_be_kept_of_many_is_not_taken(part):
    with pytest.raises(CAUnavailable):
        Order.from_json({**ORDER, **part}, url="https://ca.example/order/1")


def test_a_challenge_with_more_than_can_be_kept_is_not_taken():
    with pytest.raises(CAUnavailable, match="a URL of 100019 characters; the limit is 512"):
        Challenge.from_json({**CHALLENGE, "url": "https://ca.example/" + "a" * 100_000})


def test_the_error_of_an_order_is_read():
    order = Order.from_json(
        {**ORDER, "error": {"type": "urn:ietf:params:acme:error:caa", "detail": "no"}}, url=""
    )

    assert order.error == Problem(type="caa", detail="no")


@pytest.mark.parametrize(
    "status", ["pending", "processing", "valid", "invalid", "deactivated", "expired", "revoked"]
)
def test_every_status_of_an_authorization_is_known(status):
    assert Authorization.from_json({**AUTHORIZATION, "status": status}, url="").status == status


def test_a_status_that_nobody_knows_is_no_error():
    assert (
        Authorization.from_json({**AUTHORIZATION, "status": "dreaming"}, url="").status
        is AuthorizationStatus.UNKNOWN
    )
    assert Order.from_json({**ORDER, "status": "dreaming"}, url="").status is OrderStatus.UNKNOWN
    assert Challenge.from_json({**CHALLENGE, "status": "dreaming"}).status is ChallengeStatus.UNKNOWN
    assert Account.from_json({"status": "dreaming"}, url="").status is AccountStatus.UNKNOWN


def test_an_authorization_is_read():
    authorization = Authorization.from_json(AUTHORIZATION, url="https://ca.example/authz/1")

    assert authorization.wildcard
    assert authorization.identifier == Identifier(type=IdentifierType.DNS, value="a.example")
    assert [challenge.token for challenge in authorization.challenges] == [TOKEN]


def test_challenges_of_unknown_types_are_carried_along():
    unknown = {
        "type": "dns-persist-01",
        "url": "https://ca.example/chall/2",
        "issuer-domain-names": ["ca.example"],
    }

    authorization = Authorization.from_json(
        {**AUTHORIZATION, "challenges": [unknown, CHALLENGE, {"type": "half"}, 7]}, url=""
    )

    assert [(challenge.type, challenge.token) for challenge in authorization.challenges] == [
        ("dns-persist-01", ""),
        ("dns-01", TOKEN),
    ]


@pytest.mark.parametrize("kind", ["http-01", "dns-01", "tls-alpn-01"])
@pytest.mark.parametrize(
    "token", ["", "short", "../../etc/passwd-and-more-of-it", TOKEN + "=", TOKEN + "\n", None, 7]
)
def test_a_token_that_could_be_a_path_is_refused(kind, token):
    with pytest.raises(CAUnavailable, match="128 bits"):
        Challenge.from_json({**CHALLENGE, "type": kind, "token": token})


def test_a_token_is_not_shown():
    assert TOKEN not in repr(Authorization.from_json(AUTHORIZATION, url=""))


@pytest.mark.parametrize("missing", ["status", "finalize"])
def test_an_order_without_what_we_need_is_the_cas_fault(missing):
    with pytest.raises(CAUnavailable, match=f"without '{missing}'"):
        Order.from_json({name: value for name, value in ORDER.items() if name != missing}, url="")


@pytest.mark.parametrize(
    "identifier",
    [None, "a.example", {"type": "dns"}, {"type": "email", "value": "a@b"}, {"type": "dns", "value": 7}],
)
def test_an_identifier_that_is_none_is_the_cas_fault(identifier):
    with pytest.raises(CAUnavailable):
        Authorization.from_json({**AUTHORIZATION, "identifier": identifier}, url="")


def test_a_directory_is_read():
    directory = Directory.from_json(
        {
            "newNonce": "https://ca.example/nonce",
            "newAccount": "https://ca.example/account",
            "newOrder": "https://ca.example/order",
            "renewalInfo": "https://ca.example/ari",
            "aJ3kd8": "https://community.example/t/random-entries-in-the-directory",
            "meta": {
                "profiles": {"classic": "the usual"},
                "externalAccountRequired": True,
                "termsOfService": "https://ca.example/tos",
            },
        }
    )

    assert directory.profiles == {"classic": "the usual"}
    assert directory.external_account_required
    assert directory.urls == (
        "https://ca.example/nonce",
        "https://ca.example/account",
        "https://ca.example/order",
        "https://ca.example/ari",
    )


@pytest.mark.parametrize("missing", ["newNonce", "newAccount", "newOrder"])
def test_what_has_no_verbs_is_no_directory(missing):
    body = {
        name: f"https://ca.example/{name}"
        for name in ("newNonce", "newAccount", "newOrder")
        if name != missing
    }

    with pytest.raises(CAUnavailable, match=missing):
        Directory.from_json(body)


def test_an_account_that_was_just_found_may_have_no_body():
    assert Account.from_json({}, url="https://ca.example/account/1").status is AccountStatus.VALID


@pytest.mark.parametrize(
    "text", ["b10lLJs8l1GPIzsLP0s6pMt8O0XVGnfTaCeROxQM0BIt2XrJMDHJZBM5NuQmQJQH", "-_-_", "AA==", " AA \n"]
)
def test_an_external_key_is_base64url_padded_or_not(text):
    stripped = text.strip().rstrip("=")

    found = ExternalAccount.from_base64url("kid-1", text)

    assert base64.urlsafe_b64encode(found.mac_key).decode().rstrip("=") == stripped
    assert "mac_key" not in repr(found)


def test_an_external_key_in_plain_base64_is_the_same_key():
    assert ExternalAccount.from_base64url("kid-1", "AA+/") == ExternalAccount.from_base64url("kid-1", "AA-_")


@pytest.mark.parametrize("text", ["", "   ", "A", "ä", "====", "not base64!", "AA.A"])
def test_an_external_key_that_is_none_is_refused_without_a_word_of_it(text):
    with pytest.raises(SecretUnusable) as caught:
        ExternalAccount.from_base64url("kid-1", text)

    assert str(caught.value) == "the key of the external account kid-1 is not base64url"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-24T12:00:00Z", 1795521600.0),
        ("2026-11-24T12:00:00.5Z", 1795521600.5),
        ("2026-11-24T12:00:00.123456789Z", 1795521600.123456),
        ("2026-11-24T14:00:00+02:00", 1795521600.0),
        ("2026-11-24T12:00:00", 1795521600.0),
        ("9999-12-31T23:59:59Z", 253402300799.0),
        ("9999-12-31T23:59:59-14:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_times_are_rfc_3339(text, seconds):
    assert parse_time(text) == (None if seconds is None else pytest.approx(seconds, abs=1e-5))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from(["dns", "pending", "http-01"]),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "status",
                    "identifiers",
                    "identifier",
                    "type",
                    "value",
                    "challenges",
                    "url",
                    "token",
                    "error",
                    "finalize",
                    "expires",
                ]
            ),
            below,
            max_size=8,
        )
    ),
    max_leaves=25,
)


READERS = {
    "order": lambda body: Order.from_json(body, url=""),
    "authorization": lambda body: Authorization.from_json(body, url=""),
    "challenge": Challenge.from_json,
    "directory": Directory.from_json,
    "account": lambda body: Account.from_json(body, url=""),
}


@pytest.mark.parametrize("reader", sorted(READERS))
@given(body=st.dictionaries(st.sampled_from([*ORDER, *AUTHORIZATION, *CHALLENGE, "error", "meta"]), JSON))
def test_nonsense_is_read_or_is_the_cas_fault(reader, body):
    """Nothing but CAUnavailable may come out of a reader."""
    with suppress(CAUnavailable):
        READERS[reader](body)
