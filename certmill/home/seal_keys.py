"""The keys of the seal (crypto.seal): those in the settings, or else one that is created and stored in the
home's directory as `seal-key`."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable
from pathlib import Path

from certmill.crypto import seal
from certmill.crypto.seal import Seal
from certmill.errors import InvalidManifest
from certmill.home.made_once import made_once
from certmill.settings import Settings

SEAL_KEY_FILE = "seal-key"


class LazySeal(Seal):
    """A Seal that reads its keys on first use, so a command that only reads does not create a key in the
    home."""

    __slots__ = ("_guard", "_keys", "_made")

    def __init__(self, keys: Callable[[], list[bytes]]) -> None:
        self._keys = keys
        self._guard = threading.Lock()
        self._made: Seal | None = None

    def seal(self, plaintext: bytes, *, context: str) -> str:
        """As Seal.seal. Raises HomeUnavailable when there is no key and none can be created."""
        return self._built().seal(plaintext, context=context)

    def open(self, sealed: str, *, context: str) -> bytes:
        """As Seal.open. Raises HomeUnavailable when there is no key and none can be created."""
        return self._built().open(sealed, context=context)

    def _built(self) -> Seal:
        with self._guard:
            if self._made is None:
                self._made = Seal(self._keys())
            return self._made


def seal_keys(settings: Settings) -> list[bytes]:
    """Return the keys of the settings, or the one stored in the home (created, mode 0600, if missing)."""
    texts = [key.get_secret_value() for key in settings.seal_keys] or [_kept_seal_key(settings.home)]
    try:
        return [base64.b64decode(text, validate=True) for text in texts]
    except binascii.Error:
        raise InvalidManifest("is not base64 of 32 bytes", path="CERTMILL_SEAL_KEYS") from None


def _kept_seal_key(home: Path) -> str:
    return made_once(home / SEAL_KEY_FILE, seal.new_key)
