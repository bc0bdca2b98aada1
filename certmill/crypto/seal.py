"""Encrypt private keys that are kept in Redis during a run: AES-256-GCM with the keys of CERTMILL_SEAL_KEYS.

The result is the text `1.<base64url of nonce and ciphertext>`, bound to a context. The first key encrypts;
all keys decrypt. To rotate, put the new key first, and remove the old one when no run uses it. Nonces are
random; NIST SP 800-38D §8.3 allows 2^32 encryptions for each key with random nonces, and certmill stays far
below."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from certmill.errors import InvalidManifest, SealKeyMissing, SecretUnusable

_KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_MAX_SEALED_CHARACTERS = 1_500_000
_VERSION = "1"


class Seal:
    """Encrypts and decrypts. `keys`: at least one, 32 bytes each. Raises InvalidManifest with the setting."""

    __slots__ = ("_ciphers",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise InvalidManifest(
                "needs at least one key, and each is base64 of 32 bytes", path="CERTMILL_SEAL_KEYS"
            )
        self._ciphers = tuple(AESGCM(key) for key in keys)

    def seal(self, plaintext: bytes, *, context: str) -> str:
        """Encrypt for `context` (a certificate's id). `open` needs the same context."""
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = self._ciphers[0].encrypt(nonce, plaintext, _bound(context))
        return f"{_VERSION}.{base64.urlsafe_b64encode(nonce + ciphertext).decode()}"

    def open(self, sealed: str, *, context: str) -> bytes:
        """Decrypt. Raises SealKeyMissing if no key or the context does not fit, SecretUnusable if the text is
        damaged."""
        raw = _raw(sealed)
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound(context))
            except InvalidTag:
                continue
        raise SealKeyMissing(
            f"the sealed value of {context} cannot be decrypted; put its key back into CERTMILL_SEAL_KEYS"
        )


def new_key() -> str:
    """Generate a key for CERTMILL_SEAL_KEYS, base64."""
    return base64.b64encode(os.urandom(_KEY_BYTES)).decode()


def _raw(sealed: str) -> bytes:
    version, _, text = sealed.partition(".")
    if version != _VERSION or len(text) > _MAX_SEALED_CHARACTERS:
        raise SecretUnusable("the sealed value has a format that this version does not know")
    try:
        raw = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SecretUnusable("the sealed value is damaged") from None
    if (
        len(raw) < _NONCE_BYTES + _TAG_BYTES or base64.urlsafe_b64encode(raw).decode() != text
    ):  # bits that mean nothing may be changed too
        raise SecretUnusable("the sealed value is damaged")
    return raw


def _bound(context: str) -> bytes:
    return b"certmill seal " + _VERSION.encode() + b"\0" + context.encode()
