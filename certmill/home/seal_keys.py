"""The keys of the seal (crypto.seal): those of the settings, else one that is made and kept in the home's directory as `seal-key`."""

from __future__ import annotations

import base64
import binascii
import os
import threading
from collections.abc import Callable
from pathlib import Path

from certmill.crypto import seal
from certmill.crypto.seal import Seal
from certmill.errors import HomeUnavailable, InvalidManifest
from certmill.settings import Settings

SEAL_KEY_FILE = "seal-key"


class LazySeal(Seal):
    """A Seal whose keys are asked for when it is first used: who only looks leaves no key in the home."""

    __slots__ = ("_guard", "_keys", "_made")

    def __init__(self, keys: Callable[[], list[bytes]]) -> None:
        self._keys = keys
        self._guard = threading.Lock()
        self._made: Seal | None = None

    def seal(self, plaintext: bytes, *, context: str) -> str:
        """As Seal.seal. Raises HomeUnavailable when there is no key, and none can be made."""
        return self._built().seal(plaintext, context=context)

    def open(self, sealed: str, *, context: str) -> bytes:
        """As Seal.open. Raises HomeUnavailable when there is no key, and none can be made."""
        return self._built().open(sealed, context=context)

    def _built(self) -> Seal:
        with self._guard:
            if self._made is None:
                self._made = Seal(self._keys())
            return self._made


def seal_keys(settings: Settings) -> list[bytes]:
    """The keys of the settings, or the one that is kept in the home (made now, 0600, if there is none)."""
    texts = [key.get_secret_value() for key in settings.seal_keys] or [_kept_seal_key(settings.home)]
    try:
        return [base64.b64decode(text, validate=True) for text in texts]
    except binascii.Error:
        raise InvalidManifest("is not base64 of 32 bytes", path="CERTMILL_SEAL_KEYS") from None


def _kept_seal_key(home: Path) -> str:
    """Read `<home>/seal-key`; made whole in a file of its own first, so that of two processes only one's is ever seen."""
    file = home / SEAL_KEY_FILE
    try:
        if not file.exists():
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = home / f".{SEAL_KEY_FILE}.{os.getpid()}.{threading.get_ident()}"
            with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
                stream.write(seal.new_key())
                stream.flush()
                os.fsync(stream.fileno())
            try:
                os.link(made, file)
            except FileExistsError:
                pass
            finally:
                made.unlink()
        return file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise HomeUnavailable(
            f"cannot read or make {SEAL_KEY_FILE} in the home: {error.strerror}; see that the home is writable"
        ) from error
