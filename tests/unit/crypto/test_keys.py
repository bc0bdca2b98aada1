from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from certmill.crypto import chain, keys
from certmill.errors import InvalidManifest, SecretUnusable
from certmill.model.certificate import KeyAlgorithm, KeyEncoding, PrivateKeySpec

RSA_2048 = PrivateKeySpec()
ECDSA_256 = PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=256)
ED25519 = PrivateKeySpec(algorithm=KeyAlgorithm.ED25519, size=0)


@pytest.fixture(scope="module")
def rsa_pem():
    return keys.generate(RSA_2048)


@pytest.mark.parametrize(
    ("algorithm", "size", "encoding", "header"),
    [
        ("RSA", 2048, "PKCS1", b"-----BEGIN RSA PRIVATE KEY-----"),
        ("RSA", 2048, "PKCS8", b"-----BEGIN PRIVATE KEY-----"),
        ("RSA", 3072, "PKCS1", b"-----BEGIN RSA PRIVATE KEY-----"),
        ("ECDSA", 256, "PKCS1", b"-----BEGIN EC PRIVATE KEY-----"),
        ("ECDSA", 384, "PKCS1", b"-----BEGIN EC PRIVATE KEY-----"),
        ("ECDSA", 521, "PKCS8", b"-----BEGIN PRIVATE KEY-----"),
        ("Ed25519", 0, "PKCS1", b"-----BEGIN PRIVATE KEY-----"),
        ("Ed25519", 0, "PKCS8", b"-----BEGIN PRIVATE KEY-----"),
    ],
)
def test_a_key_is_made_as_the_manifest_asks(algorithm, size, encoding, header):
    spec = PrivateKeySpec(algorithm=KeyAlgorithm(algorithm), size=size, encoding=KeyEncoding(encoding))

    pem = keys.generate(spec)

    assert pem.startswith(header)
    assert getattr(keys.load(pem), "key_size", 0) == size
    assert keys.matches_spec(pem, spec) is None


@pytest.mark.parametrize(("algorithm", "size"), [("RSA", 1024), ("RSA", 8193), ("ECDSA", 224)])
def test_a_size_outside_the_range_is_refused(algorithm, size):
    with pytest.raises(InvalidManifest, match=f"{algorithm} {size}"):
        keys.generate(PrivateKeySpec(algorithm=KeyAlgorithm(algorithm), size=size))


@pytest.mark.parametrize(
    ("algorithm", "type_", "size"),
    [("RSA-2048", rsa.RSAPrivateKey, 2048), ("ECDSA-384", ec.EllipticCurvePrivateKey, 384)],
)
def test_an_account_key_is_of_the_algorithm_that_was_named(algorithm, type_, size):
    key = load_pem_private_key(keys.generate_account_key(algorithm), None)

    assert isinstance(key, type_)
    assert key.key_size == size


@pytest.mark.parametrize(
    "algorithm",
    ["", "RSA", "RSA-", "RSA-²", "DSA-2048", "RSA-512", "ECDSA-2048", "Ed25519", "Ed25519-0", "Ed25519-256"],
)
def test_an_account_key_of_another_algorithm_is_refused(algorithm):
    with pytest.raises(InvalidManifest):
        keys.generate_account_key(algorithm)


def test_a_key_of_another_size_or_algorithm_is_distinguished_from_the_wanted_one(rsa_pem):
    ecdsa_pem = keys.generate(ECDSA_256)

    assert keys.matches_spec(rsa_pem, PrivateKeySpec(size=4096)) == "it is RSA 2048, not RSA 4096"
    assert keys.matches_spec(ecdsa_pem, RSA_2048) == "it is ECDSA 256, not RSA 2048"
    assert keys.matches_spec(ecdsa_pem, ECDSA_256) is None
    assert keys.matches_spec(keys.generate(ED25519), ECDSA_256) == "it is Ed25519, not ECDSA 256"
    assert keys.matches_spec(rsa_pem, ED25519) == "it is RSA 2048, not Ed25519"


@pytest.mark.parametrize(
    ("made", "wanted", "field"),
    [
        (ECDSA_256, PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=384), "size"),
        (ECDSA_256, ED25519, "algorithm"),
        (ED25519, ECDSA_256, "algorithm"),
        (ED25519, RSA_2048, "algorithm"),
        (ED25519, ED25519, None),
    ],
)
def test_the_field_that_a_key_differs_in_is_named(made, wanted, field):
    assert keys.differing(keys.generate(made), wanted) == ((f"spec.privateKey.{field}",) if field else ())


def test_the_encoding_is_no_mismatch(rsa_pem):
    assert keys.matches_spec(rsa_pem, PrivateKeySpec(encoding=KeyEncoding.PKCS8)) is None


def test_a_curve_of_the_same_size_is_another_algorithm():
    pem = ec.generate_private_key(ec.SECP256K1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )

    assert keys.matches_spec(pem, ECDSA_256) == "it is ECDSA on secp256k1, not ECDSA 256"


def test_a_key_is_the_same_in_another_encoding(rsa_pem):
    pkcs8 = keys.reencode(rsa_pem, KeyEncoding.PKCS8)

    assert b"BEGIN PRIVATE KEY" in pkcs8
    assert chain.key_of(pkcs8) == chain.key_of(rsa_pem)
    assert keys.reencode(pkcs8, KeyEncoding.PKCS1) == rsa_pem


@pytest.mark.parametrize("encoding", list(KeyEncoding))
@pytest.mark.parametrize("spec", [RSA_2048, ECDSA_256, ED25519], ids=["rsa", "ecdsa", "ed25519"])
def test_der_is_the_content_of_the_pem_block(spec, encoding):
    """cert-manager's key.der: pem.Decode(tls.key).Bytes."""
    pem = keys.reencode(keys.generate(spec), encoding)

    der = keys.to_der(pem)

    key = load_der_private_key(der, None)
    form = (
        PrivateFormat.PKCS8
        if encoding is KeyEncoding.PKCS8 or spec is ED25519
        else PrivateFormat.TraditionalOpenSSL
    )
    assert key.private_bytes(Encoding.DER, form, NoEncryption()) == der
    assert key.private_bytes(Encoding.PEM, form, NoEncryption()) == pem


def test_an_rsa_key_whose_parts_do_not_fit_is_refused(rsa_pem):
    key = load_pem_private_key(rsa_pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    good = key.private_numbers()
    bad = rsa.RSAPrivateNumbers(
        good.p, good.q, good.d + 2, good.dmp1, good.dmq1, good.iqmp, good.public_numbers
    )
    pem = bad.private_key(unsafe_skip_rsa_key_validation=True).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )

    with pytest.raises(SecretUnusable, match="do not match"):
        keys.load(pem)


def test_an_encrypted_key_is_refused_with_what_to_do():
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )

    with pytest.raises(SecretUnusable, match="store it without a password"):
        keys.load(pem)


def test_a_key_of_another_algorithm_is_refused():
    pem = ed448.Ed448PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    with pytest.raises(SecretUnusable, match="neither RSA, ECDSA nor Ed25519"):
        keys.load(pem)


def test_a_megabyte_of_crafted_pem_is_refused_before_it_is_parsed():
    crafted = b"-----BEGIN PRIVATE KEY-----\n" * 36_000

    with pytest.raises(SecretUnusable, match="larger than 13000 bytes"):
        keys.load(crafted)


def test_no_content_is_in_the_error_or_what_it_was_raised_from(rsa_pem):
    with pytest.raises(SecretUnusable) as caught:
        keys.load(rsa_pem.replace(b"MII", b"*TOP-SECRET*"))

    assert "TOP-SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@given(st.binary(max_size=300), st.integers(0, 1600))
def test_whatever_a_key_file_holds_it_is_a_key_or_unusable(noise, at):
    pem = keys.generate(ECDSA_256)

    for content in (noise, pem[: at % len(pem)] + noise + pem[at % len(pem) :]):
        try:
            keys.matches_spec(content, ECDSA_256)
        except SecretUnusable as error:
            assert "\n" not in str(error)  # noqa: PT017 - both outcomes are right
