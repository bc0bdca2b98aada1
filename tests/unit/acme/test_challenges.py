from __future__ import annotations

import pytest
from acme.challenges import DNS01, HTTP01
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.json_util import encode_b64jose
from josepy.jwk import JWKEC

from certmill.acme import challenges
from certmill.acme.jws import AccountKey

KEY = ec.generate_private_key(ec.SECP256R1())
THUMBPRINT = AccountKey(KEY).thumbprint
TOKEN = encode_b64jose(b"t" * 32)


def test_the_key_authorization_is_acmes():
    theirs = HTTP01(token=b"t" * 32).key_authorization(JWKEC(key=KEY))

    assert challenges.key_authorization(TOKEN, THUMBPRINT) == theirs


def test_the_txt_value_is_acmes():
    theirs = DNS01(token=b"t" * 32).validation(JWKEC(key=KEY))

    assert challenges.dns01_value(TOKEN, THUMBPRINT) == theirs


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        ("example.com", "_acme-challenge.example.com"),
        ("*.example.com", "_acme-challenge.example.com"),
        ("example.com.", "_acme-challenge.example.com"),
        ("a.b.example.com", "_acme-challenge.a.b.example.com"),
    ],
)
def test_the_record_is_below_the_name(identifier, name):
    assert challenges.dns01_record_name(identifier) == name


@pytest.mark.parametrize("token", [TOKEN, "a" * 22, "a" * 128, "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"])
def test_a_token_is_base64url_of_at_least_128_bits(token):
    assert challenges.is_token(token)


@pytest.mark.parametrize(
    "token",
    ["", "a" * 21, "a" * 129, "../" + "a" * 30, "a" * 30 + "/", "a" * 30 + "=", "ä" * 30, "a" * 30 + "\n"],
)
def test_what_could_be_a_path_or_a_guess_is_no_token(token):
    assert not challenges.is_token(token)
