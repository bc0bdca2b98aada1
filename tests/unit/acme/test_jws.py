"""Our JWS, held against josepy's and acme's, which know nothing of ours."""

from __future__ import annotations

import base64
import hashlib
import json
import pickle
from typing import Any

import pytest
from acme.jws import JWS
from acme.messages import Directory, ExternalAccountBinding
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from josepy import jws as josepy_jws
from josepy.json_util import encode_b64jose
from josepy.jwk import JWKEC, JWKRSA, JWKOct

from certmill.acme import jws
from certmill.acme.jws import AccountKey
from certmill.errors import SecretUnusable

URL = "https://ca.example/order/1"
KID = "https://ca.example/account/1"
RSA = rsa.generate_private_key(65537, 2048)
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
KEYS: dict[str, Any] = {
    "RS256": RSA,
    **{name: ec.generate_private_key(curve) for name, curve in CURVES.items()},
}


def pem(key, style=serialization.PrivateFormat.PKCS8):
    return key.private_bytes(serialization.Encoding.PEM, style, serialization.NoEncryption())


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def josepy_key(key):
    return JWKRSA(key=key) if isinstance(key, rsa.RSAPrivateKey) else JWKEC(key=key)


@pytest.fixture(params=sorted(KEYS))
def key(request):
    return KEYS[request.param]


def test_a_request_in_the_name_of_the_account_verifies(key):
    account_key = AccountKey(key)

    body = jws.sign(account_key, url=URL, payload=b'{"a":1}', kid=KID, nonce="bm9uY2U")

    signed = JWS.from_json(json.loads(body))
    assert signed.verify(josepy_key(key).public_key())
    header = signed.signature.combined
    assert (header.kid, header.url, header.nonce, header.jwk) == (KID, URL, b"nonce", None)
    assert header.alg.name == account_key.algorithm
    assert signed.payload == b'{"a":1}'


def test_a_request_in_the_name_of_the_key_carries_it(key):
    body = jws.sign(AccountKey(key), url=URL, payload=b"", kid=None, nonce="bm9uY2U")

    signed = JWS.from_json(json.loads(body))
    assert signed.verify()
    assert signed.signature.combined.jwk == josepy_key(key).public_key()
    assert signed.signature.combined.kid is None
    assert signed.payload == b""


def test_the_key_of_each_of_hundreds_of_accounts_is_read_once():
    pems = [pem(ec.generate_private_key(ec.SECP256R1())) for _ in range(300)]
    first = [AccountKey.from_pem(one) for one in pems]

    assert all(AccountKey.from_pem(one) is key for one, key in zip(pems, first, strict=True))


def test_the_algorithm_follows_the_key():
    assert {name: AccountKey(key).algorithm for name, key in KEYS.items()} == {name: name for name in KEYS}


@settings(max_examples=60)
@given(
    payload=st.binary(max_size=300),
    nonce=st.from_regex(r"\A[A-Za-z0-9_-]{4,40}\Z"),
    path=st.text(max_size=40),
)
def test_whatever_is_signed_arrives_unchanged(payload, nonce, path):
    body = json.loads(
        jws.sign(AccountKey(KEYS["ES256"]), url=URL + path, payload=payload, kid=KID, nonce=nonce)
    )

    assert decoded(body["payload"]) == payload
    assert json.loads(decoded(body["protected"])) == {
        "alg": "ES256",
        "kid": KID,
        "nonce": nonce,
        "url": URL + path,
    }


def test_an_ecdsa_signature_has_both_halves_in_full():
    """RFC 7518 §3.4: a short r or s is padded; with P-521 about one in 128 is short."""
    key = AccountKey(KEYS["ES512"])

    assert {len(key.sign(str(number).encode())) for number in range(300)} == {132}


def test_the_thumbprint_is_that_of_rfc_7638(key):
    expected = josepy_key(key).thumbprint(hash_function=hashes.SHA256)

    assert decoded(AccountKey(key).thumbprint) == expected


def test_the_hash_of_an_rsa_key_is_the_one_in_the_status_that_cert_manager_writes(key):
    """pkg/acme/accounts/registry.go, IsKeyCheckSumCached; it knows RSA keys only."""
    if isinstance(key, rsa.RSAPrivateKey):
        form = serialization.PrivateFormat.TraditionalOpenSSL
        hashed = key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
    else:
        hashed = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    assert AccountKey(key).hash == base64.b64encode(hashlib.sha256(hashed).digest()).decode()


def test_a_coordinate_with_leading_zeros_keeps_its_length():
    """RFC 7518 §6.2.1.2: the octet string is as long as the curve's, always."""
    number = next(
        n
        for n in range(1, 5000)
        if ec.derive_private_key(n, ec.SECP256R1()).public_key().public_numbers().x >> 248 == 0
    )

    jwk = json.loads(AccountKey(ec.derive_private_key(number, ec.SECP256R1())).jwk)

    assert len(decoded(jwk["x"])) == 32


def test_an_external_account_is_bound_as_acme_does_it():
    account_key = AccountKey(KEYS["ES256"])
    mac_key = b"0" * 32
    directory = Directory({"newAccount": URL})

    ours = json.loads(jws.bind_external_account(account_key, key_id="kid-1", mac_key=mac_key, url=URL))

    public = JWKEC(key=KEYS["ES256"].public_key())
    theirs = ExternalAccountBinding.from_data(public, "kid-1", encode_b64jose(mac_key), directory)
    assert json.loads(decoded(ours["payload"])) == json.loads(decoded(theirs["payload"]))
    assert json.loads(decoded(ours["protected"])) == {"alg": "HS256", "kid": "kid-1", "url": URL}
    signed = josepy_jws.JWS.from_json(ours)
    assert signed.signature.verify(signed.payload, JWKOct(key=mac_key))


def test_a_change_of_keys_is_signed_by_the_new_one_and_names_the_old_one():
    """RFC 8555 §7.3.5: the inner JWS has jwk and url, and no nonce."""
    old, new = AccountKey(KEYS["RS256"]), AccountKey(KEYS["ES384"])

    inner = json.loads(jws.roll_over(old, new, account_uri=KID, url=URL))

    assert JWS.from_json(inner).verify(josepy_key(KEYS["ES384"]).public_key())
    assert json.loads(decoded(inner["protected"])) == {"alg": "ES384", "jwk": json.loads(new.jwk), "url": URL}
    assert json.loads(decoded(inner["payload"])) == {"account": KID, "oldKey": json.loads(old.jwk)}


@pytest.mark.parametrize(
    "style", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]
)
def test_a_key_is_read_in_either_style(key, style):
    assert AccountKey.from_pem(pem(key, style)).hash == AccountKey(key).hash


def test_reading_the_same_key_again_is_the_same_value():
    assert AccountKey.from_pem(pem(RSA)) is AccountKey.from_pem(pem(RSA))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not an unencrypted PEM private key"),
        (b"MIIEvQIBADANBg", "not an unencrypted PEM private key"),
        (
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "not an unencrypted PEM private key",
        ),
        (b"\xff" * 100, "not an unencrypted PEM private key"),
        (b"x" * 1_000_000, "larger than"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "does not support"),
        (pem(dsa.generate_private_key(1024)), "does not support"),  # noqa: S505 - it is refused
        (pem(ec.generate_private_key(ec.SECP256K1())), "does not support"),
        (pem(rsa.generate_private_key(65537, 1024)), "RSA with 1024 bits"),  # noqa: S505 - it is refused
    ],
    ids=["empty", "base64", "garbage", "bytes", "huge", "ed25519", "dsa", "secp256k1", "rsa-1024"],
)
def test_what_is_no_account_key_is_refused_in_one_line(text, reason):
    with pytest.raises(SecretUnusable, match=reason) as caught:
        AccountKey.from_pem(text)

    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_encrypted_key_is_refused():
    text = RSA.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )

    with pytest.raises(SecretUnusable, match="unencrypted"):
        AccountKey.from_pem(text)


def test_a_key_shows_nothing_and_cannot_be_pickled(key):
    account_key = AccountKey(key)

    assert repr(account_key) == str(account_key) == "AccountKey()"
    with pytest.raises((TypeError, AttributeError)):
        pickle.dumps(account_key)
