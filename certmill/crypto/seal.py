"""The seal over private keys in flight: AES-256-GCM with a key of the settings, bound to what it is for.

Text `1.<base64url of nonce and ciphertext>`. The first key seals, any of them opens, so that keys can be
rotated: put the new one
first, and drop the old one when nothing sealed with it is in flight. Nonces are random: we stay far below the
2^32 seals a key that
NIST SP 800-38D §8.3 allows with them.
"""

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
    """Seals and opens. `keys`: 32 bytes each, at least one. Raises InvalidManifest naming the setting."""

    __slots__ = ("_ciphers",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise InvalidManifest(
                "needs at least one key, and each is base64 of 32 bytes", path="CERTMILL_SEAL_KEYS"
            )
        self._ciphers = tuple(AESGCM(key) for key in keys)

    def seal(self, plaintext: bytes, *, context: str) -> str:
        """Seal for `context` (a certificate's id): it opens under no other."""
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = self._ciphers[0].encrypt(nonce, plaintext, _bound(context))
        return f"{_VERSION}.{base64.urlsafe_b64encode(nonce + ciphertext).decode()}"

    def open(self, sealed: str, *, context: str) -> bytes:
        """Open what was sealed for `context` with any of the keys. Raises SealKeyMissing, or SecretUnusable
        if it is damaged."""
        raw = _raw(sealed)
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound(context))
            except InvalidTag:
                continue
        raise SealKeyMissing(
            f"what is sealed for {context} cannot be opened: was its key taken out of CERTMILL_SEAL_KEYS?"
        )


def new_key() -> str:
    """Make a key, base64, fit for CERTMILL_SEAL_KEYS."""
    return base64.b64encode(os.urandom(_KEY_BYTES)).decode()


def _raw(sealed: str) -> bytes:
    version, _, text = sealed.partition(".")
    if version != _VERSION or len(text) > _MAX_SEALED_CHARACTERS:
        raise SecretUnusable("what is sealed has a form that this version does not know")
    try:
        raw = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SecretUnusable("what is sealed is damaged") from None
    if (
        len(raw) < _NONCE_BYTES + _TAG_BYTES or base64.urlsafe_b64encode(raw).decode() != text
    ):  # bits that mean nothing may be changed too
        raise SecretUnusable("what is sealed is damaged")
    return raw


def _bound(context: str) -> bytes:
    return b"certmill seal " + _VERSION.encode() + b"\0" + context.encode()
