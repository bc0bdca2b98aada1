"""Private keys in PEM: generate, compare with a manifest's spec.privateKey, re-encode.

RSA keys are loaded without OpenSSL's primality test, which takes 47 ms for 2048 bits and 4 s for 8192 bits at
every load. `load` checks the arithmetic between the parts of the key instead."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from certmill.errors import InvalidManifest, SecretUnusable
from certmill.model.certificate import KeyAlgorithm, KeyEncoding, PrivateKeySpec

MAX_KEY_BYTES = 13_000
"""A larger key is not parsed (cert-manager's limit after GHSA-r4pg-vg54-wxx4)."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_CURVES: dict[int, type[ec.EllipticCurve]] = {256: ec.SECP256R1, 384: ec.SECP384R1, 521: ec.SECP521R1}
_TYPES: dict[KeyAlgorithm, type[PrivateKey]] = {
    KeyAlgorithm.RSA: rsa.RSAPrivateKey,
    KeyAlgorithm.ECDSA: ec.EllipticCurvePrivateKey,
    KeyAlgorithm.ED25519: ed25519.Ed25519PrivateKey,
}
_RSA_SIZES = range(2048, 8193)
_FORMATS = {KeyEncoding.PKCS1: PrivateFormat.TraditionalOpenSSL, KeyEncoding.PKCS8: PrivateFormat.PKCS8}


def generate(spec: PrivateKeySpec) -> bytes:
    """Generate a key: PEM in the encoding of `spec`. As in cert-manager, PKCS1 means SEC 1 (`EC PRIVATE KEY`)
    for ECDSA, and an Ed25519 key is always PKCS8 (RFC 8410 §7)."""
    return _pem(_make(spec.algorithm, spec.size), spec.encoding)


def generate_account_key(algorithm: str) -> bytes:
    """Generate an account key, PEM. `algorithm`: RSA-2048 … RSA-8192, ECDSA-256, ECDSA-384, ECDSA-521. Raises
    InvalidManifest."""
    kind, _, size = algorithm.partition("-")
    if kind not in (KeyAlgorithm.RSA, KeyAlgorithm.ECDSA) or not size.isdecimal():
        raise InvalidManifest(
            f"{algorithm[:40]!r} is not a valid account key algorithm: use RSA-2048 … RSA-8192, ECDSA-256, "
            "ECDSA-384 or ECDSA-521"
        )
    return _pem(_make(KeyAlgorithm(kind), int(size)), KeyEncoding.PKCS1)


def matches_spec(pem: bytes, spec: PrivateKeySpec) -> str | None:
    """Say why this key is not of that algorithm and size; None if it is. Raises SecretUnusable."""
    key = load(pem)
    found, wanted = _described(key), _named(spec.algorithm, spec.size)
    return None if found == wanted else f"it is {found}, not {wanted}"


def differing(pem: bytes, spec: PrivateKeySpec) -> tuple[str, ...]:
    """The path of the Certificate's field that this key does not match; empty if the key matches. Raises
    SecretUnusable."""
    if matches_spec(pem, spec) is None:
        return ()
    key = load(pem)
    other_curve = isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size == spec.size
    same = isinstance(key, _TYPES[spec.algorithm]) and not other_curve
    return ("spec.privateKey.size",) if same else ("spec.privateKey.algorithm",)


def reencode(pem: bytes, encoding: KeyEncoding) -> bytes:
    """The same key, PEM in that encoding. Raises SecretUnusable."""
    return _pem(load(pem), encoding)


def to_der(pem: bytes) -> bytes:
    """The same key as DER, in its current encoding: cert-manager's `key.der` is the content of the PEM block.
    Raises SecretUnusable."""
    key = load(pem)
    form = (
        PrivateFormat.PKCS8
        if b"BEGIN PRIVATE KEY" in pem or isinstance(key, ed25519.Ed25519PrivateKey)
        else PrivateFormat.TraditionalOpenSSL
    )
    return key.private_bytes(Encoding.DER, form, NoEncryption())


def load(pem: bytes) -> PrivateKey:
    """Parse a key of at most MAX_KEY_BYTES. Raises SecretUnusable; the message does not contain the key."""
    if len(pem) > MAX_KEY_BYTES:
        raise SecretUnusable(f"the private key is larger than {MAX_KEY_BYTES} bytes")
    try:
        key = load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
        fits = not isinstance(key, rsa.RSAPrivateKey) or _parts_fit(key.private_numbers())
    except TypeError:
        raise SecretUnusable("the private key is encrypted; store it without a password") from None
    except (ValueError, UnsupportedAlgorithm, OverflowError):
        raise SecretUnusable("the private key is not readable PEM") from None
    if not isinstance(key, PrivateKey):
        raise SecretUnusable("the private key is neither RSA, ECDSA nor Ed25519")
    if not fits:
        raise SecretUnusable("the parts of the RSA private key do not match")
    return key


def _make(algorithm: KeyAlgorithm, size: int) -> PrivateKey:
    if algorithm is KeyAlgorithm.RSA and size in _RSA_SIZES:
        return rsa.generate_private_key(public_exponent=65537, key_size=size)
    if algorithm is KeyAlgorithm.ECDSA and size in _CURVES:
        return ec.generate_private_key(_CURVES[size]())
    if algorithm is KeyAlgorithm.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    raise InvalidManifest(
        f"a key of {algorithm} {size} cannot be made: use RSA 2048 to 8192, ECDSA 256, 384 or 521, or Ed25519"
    )


def _named(algorithm: KeyAlgorithm, size: int) -> str:
    return algorithm if algorithm is KeyAlgorithm.ED25519 else f"{algorithm} {size}"


def _described(key: PrivateKey) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return _named(KeyAlgorithm.RSA, key.key_size)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return KeyAlgorithm.ED25519
    curve = _CURVES.get(key.curve.key_size)
    same = curve is not None and isinstance(key.curve, curve)
    return (
        _named(KeyAlgorithm.ECDSA, key.curve.key_size)
        if same
        else f"{KeyAlgorithm.ECDSA} on {key.curve.name}"
    )


def _pem(key: PrivateKey, encoding: KeyEncoding) -> bytes:
    form = PrivateFormat.PKCS8 if isinstance(key, ed25519.Ed25519PrivateKey) else _FORMATS[encoding]
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def _parts_fit(n: rsa.RSAPrivateNumbers) -> bool:
    """RFC 8017 §3.2, without the primality of p and q."""
    e, modulus = n.public_numbers.e, n.public_numbers.n
    if min(n.p, n.q) < 3 or n.p * n.q != modulus:
        return False
    exponents = (e * n.d) % (n.p - 1) == 1 and (e * n.d) % (n.q - 1) == 1
    return exponents and n.dmp1 == n.d % (n.p - 1) and n.dmq1 == n.d % (n.q - 1) and n.iqmp * n.q % n.p == 1
