"""JSON Web Signatures as ACME wants them (RFC 8555 §6.2), made by hand over `cryptography`: flattened JSON, RS256 or ES256/384/512.

Each request is signed, so what does not change (the JWK, the thumbprint, the algorithm) is made once per key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from certmill.errors import SecretUnusable

CONTENT_TYPE: Final = "application/jose+json"
_MAX_PEM_BYTES: Final = 32_768
_MIN_RSA_BITS: Final = 2048
# Above, one signature takes longer than a CA's patience, and Let's Encrypt refuses the key.
_MAX_RSA_BITS: Final = 8192
# RFC 7518 §3.4: curve → (alg, crv, hash, octets of r and of s).
_CURVES: Final = {
    "secp256r1": ("ES256", "P-256", hashes.SHA256(), 32),
    "secp384r1": ("ES384", "P-384", hashes.SHA384(), 48),
    "secp521r1": ("ES512", "P-521", hashes.SHA512(), 66),
}


def b64url(data: bytes) -> str:
    """base64url without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _int_b64url(number: int, length: int = 0) -> str:
    return b64url(number.to_bytes(length or (number.bit_length() + 7) // 8, "big"))


class AccountKey:
    """An account's private key, ready to sign. Immutable; safe from many threads."""

    __slots__ = ("_sign", "algorithm", "hash", "jwk", "thumbprint")

    algorithm: str
    """The JWS `alg`."""
    jwk: str
    """The public key as JSON, members in lexicographic order, no white space (RFC 7638 §3)."""
    thumbprint: str
    """RFC 7638, base64url: the second half of each key authorization."""
    hash: str
    """SHA-256 of the SubjectPublicKeyInfo, hex: tells keys apart."""

    def __init__(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        if isinstance(key, rsa.RSAPrivateKey):
            self.algorithm, self.jwk, self._sign = _rsa(key)
        else:
            self.algorithm, self.jwk, self._sign = _ec(key)
        self.thumbprint = b64url(hashlib.sha256(self.jwk.encode()).digest())
        public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.hash = hashlib.sha256(public).hexdigest()

    @classmethod
    def from_pem(cls, pem: bytes) -> AccountKey:
        """Read PKCS#8, PKCS#1 or SEC 1. Raises SecretUnusable, without a word of the key. Reading the same again is free."""
        if len(pem) > _MAX_PEM_BYTES:
            raise SecretUnusable(f"the account key is larger than {_MAX_PEM_BYTES} bytes; it must be one PEM private key")
        return _read(pem)

    def sign(self, data: bytes) -> bytes:
        """The signature octets as JWS has them (for ECDSA r and s, RFC 7518 §3.4)."""
        return self._sign(data)

    def __repr__(self) -> str:
        return "AccountKey()"


# Reading an RSA key checks its primes: 36 ms for 2048 bits, and every step of every certificate needs its account's key.
@lru_cache(maxsize=64)
def _read(pem: bytes) -> AccountKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: the library's text may quote what it could not read.
        raise SecretUnusable("the account key is not an unencrypted PEM private key (PKCS#8, PKCS#1 or SEC 1)") from None
    if isinstance(key, rsa.RSAPrivateKey):
        if not _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS:
            raise SecretUnusable(f"the account key is RSA with {key.key_size} bits; CAs accept {_MIN_RSA_BITS} to {_MAX_RSA_BITS}")
        return AccountKey(key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return AccountKey(key)
    raise SecretUnusable("the account key is of a kind that ACME has no signature for: use RSA, or EC on P-256, P-384 or P-521")


def _rsa(key: rsa.RSAPrivateKey) -> tuple[str, str, Callable[[bytes], bytes]]:
    numbers, scheme, digest = key.public_key().public_numbers(), padding.PKCS1v15(), hashes.SHA256()
    jwk = f'{{"e":"{_int_b64url(numbers.e)}","kty":"RSA","n":"{_int_b64url(numbers.n)}"}}'

    def sign(data: bytes) -> bytes:
        return key.sign(data, scheme, digest)

    return "RS256", jwk, sign


def _ec(key: ec.EllipticCurvePrivateKey) -> tuple[str, str, Callable[[bytes], bytes]]:
    algorithm, curve, digest, octets = _CURVES[key.curve.name]
    numbers, scheme = key.public_key().public_numbers(), ec.ECDSA(digest)
    jwk = f'{{"crv":"{curve}","kty":"EC","x":"{_int_b64url(numbers.x, octets)}","y":"{_int_b64url(numbers.y, octets)}"}}'

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, scheme))
        return r.to_bytes(octets, "big") + s.to_bytes(octets, "big")

    return algorithm, jwk, sign


def sign(key: AccountKey, *, url: str, payload: bytes, kid: str | None, nonce: str | None) -> bytes:
    """A request body (RFC 8555 §6.2): `kid` names the account, without it the key itself is in the header. b"" is POST-as-GET (§6.3)."""
    who = f'"kid":{json.dumps(kid)}' if kid is not None else f'"jwk":{key.jwk}'
    once = f'"nonce":{json.dumps(nonce)},' if nonce is not None else ""
    return _flattened(f'{{"alg":"{key.algorithm}",{who},{once}"url":{json.dumps(url)}}}', payload, key.sign)


def bind_external_account(key: AccountKey, *, key_id: str, mac_key: bytes, url: str) -> bytes:
    """The externalAccountBinding of newAccount (RFC 8555 §7.3.4): our key, signed HS256 with the key the CA gave out."""

    def mac(data: bytes) -> bytes:
        return hmac.digest(mac_key, data, "sha256")

    return _flattened(f'{{"alg":"HS256","kid":{json.dumps(key_id)},"url":{json.dumps(url)}}}', key.jwk.encode(), mac)


def roll_over(old: AccountKey, new: AccountKey, *, account_uri: str, url: str) -> bytes:
    """The inner JWS of keyChange (RFC 8555 §7.3.5): signed by the new key, which is in its header; it has no nonce."""
    payload = f'{{"account":{json.dumps(account_uri)},"oldKey":{old.jwk}}}'
    return sign(new, url=url, payload=payload.encode(), kid=None, nonce=None)


def _flattened(protected: str, payload: bytes, signer: Callable[[bytes], bytes]) -> bytes:
    """RFC 7515 §7.2.2."""
    head, body = b64url(protected.encode()), b64url(payload)
    signature = b64url(signer(f"{head}.{body}".encode()))
    return f'{{"protected":"{head}","payload":"{body}","signature":"{signature}"}}'.encode()
