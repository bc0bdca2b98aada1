"""JSON Web Signatures for ACME (RFC 8555 §6.2). Keys and algorithms come from josepy; the flattened JSON is
written here.

Every request is signed, so the JWK, the thumbprint and the algorithm are computed once for each key. The
package `acme` builds its objects again for each request, which took twice the time."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy import jwa, jwk

from certmill.errors import SecretUnusable

CONTENT_TYPE: Final = "application/jose+json"
_MAX_PEM_BYTES: Final = 32_768
_MIN_RSA_BITS: Final = 2048
# With a larger key one signature takes too long, and Let's Encrypt refuses it.
_MAX_RSA_BITS: Final = 8192
_RSA_ALGORITHM: Final = jwa.RS256
_CURVES: Final = {"secp256r1": jwa.ES256, "secp384r1": jwa.ES384, "secp521r1": jwa.ES512}
"""RFC 7518 §3.4: the algorithm of each curve."""


def b64url(data: bytes) -> str:
    """base64url without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


class AccountKey:
    """The private key of an account. Immutable and thread-safe."""

    __slots__ = ("_algorithm", "_key", "algorithm", "hash", "jwk", "thumbprint")

    algorithm: str
    """The JWS `alg`."""
    jwk: str
    """The public key as JSON: members in lexicographic order, without white space (RFC 7638 §3)."""
    thumbprint: str
    """RFC 7638, base64url: the second part of each key authorization."""
    hash: str
    """Identifies the key: a SHA-256 in base64. For RSA it is the hash of the PKCS#1 form, which cert-manager
    writes to an issuer's status; for other keys it is the hash of the public key."""

    def __init__(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        algorithm = _RSA_ALGORITHM if isinstance(key, rsa.RSAPrivateKey) else _CURVES[key.curve.name]
        public_jwk = (
            jwk.JWKRSA(key=key) if isinstance(key, rsa.RSAPrivateKey) else jwk.JWKEC(key=key)
        ).public_key()
        self.algorithm = str(algorithm.name)
        self.jwk = json.dumps(public_jwk.to_json(), sort_keys=True, separators=(",", ":"))
        self.thumbprint = b64url(public_jwk.thumbprint())
        self._key, self._algorithm = key, algorithm
        self.hash = b64encode(hashlib.sha256(_hashed_key_bytes(key)).digest()).decode("ascii")

    @classmethod
    def from_pem(cls, pem: bytes) -> AccountKey:
        """Read a PKCS#8, PKCS#1 or SEC 1 key; the result is cached. Raises SecretUnusable; the message
        contains nothing of the key."""
        if len(pem) > _MAX_PEM_BYTES:
            raise SecretUnusable(
                f"the account key is larger than {_MAX_PEM_BYTES} bytes; it must be one PEM private key"
            )
        return _read(pem)

    def sign(self, data: bytes) -> bytes:
        """The signature octets of a JWS (for ECDSA: r and s, RFC 7518 §3.4)."""
        return bytes(self._algorithm.sign(self._key, data))

    def __repr__(self) -> str:
        return "AccountKey()"


def _hashed_key_bytes(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        form = serialization.PrivateFormat.TraditionalOpenSSL
        return key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


# Reading an RSA key checks its primes: 36 ms for 2048 bits. Every step of every certificate reads the account
# key, so the result is cached.
@lru_cache(maxsize=1024)
def _read(pem: bytes) -> AccountKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: the library's message may quote the content.
        raise SecretUnusable(
            "the account key is not an unencrypted PEM private key (PKCS#8, PKCS#1 or SEC 1)"
        ) from None
    if isinstance(key, rsa.RSAPrivateKey):
        if not _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS:
            raise SecretUnusable(
                f"the account key is RSA with {key.key_size} bits; CAs accept {_MIN_RSA_BITS} to "
                f"{_MAX_RSA_BITS}"
            )
        return AccountKey(key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return AccountKey(key)
    raise SecretUnusable(
        "ACME does not support this type of account key: use RSA, or EC on P-256, P-384 or P-521"
    )


def sign(key: AccountKey, *, url: str, payload: bytes, kid: str | None, nonce: str | None) -> bytes:
    """A request body (RFC 8555 §6.2). `kid` is the account URL; with None the header contains the public key
    (`jwk`). An empty payload (b"") makes a POST-as-GET (§6.3)."""
    who = f'"kid":{json.dumps(kid)}' if kid is not None else f'"jwk":{key.jwk}'
    once = f'"nonce":{json.dumps(nonce)},' if nonce is not None else ""
    return _flattened(f'{{"alg":"{key.algorithm}",{who},{once}"url":{json.dumps(url)}}}', payload, key.sign)


def bind_external_account(key: AccountKey, *, key_id: str, mac_key: bytes, url: str) -> bytes:
    """The externalAccountBinding of newAccount (RFC 8555 §7.3.4): our public key, signed by HS256 with the
    MAC key from the CA."""

    def mac(data: bytes) -> bytes:
        return hmac.digest(mac_key, data, "sha256")

    return _flattened(
        f'{{"alg":"HS256","kid":{json.dumps(key_id)},"url":{json.dumps(url)}}}', key.jwk.encode(), mac
    )


def roll_over(old: AccountKey, new: AccountKey, *, account_uri: str, url: str) -> bytes:
    """The inner JWS of keyChange (RFC 8555 §7.3.5): signed by the new key, with the new key in the header,
    and without a nonce."""
    payload = f'{{"account":{json.dumps(account_uri)},"oldKey":{old.jwk}}}'
    return sign(new, url=url, payload=payload.encode(), kid=None, nonce=None)


def _flattened(protected: str, payload: bytes, signer: Callable[[bytes], bytes]) -> bytes:
    """The flattened JWS JSON serialization (RFC 7515 §7.2.2)."""
    head, body = b64url(protected.encode()), b64url(payload)
    signature = b64url(signer(f"{head}.{body}".encode()))
    return f'{{"protected":"{head}","payload":"{body}","signature":"{signature}"}}'.encode()
