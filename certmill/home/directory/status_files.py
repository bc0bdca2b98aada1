"""Status as small JSON files, `status/<kind>.<namespace>.<name>.json`. They are replaced atomically and not
flushed to the disk, because certmill can find a lost status again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from certmill.errors import Conflict
from certmill.home import layout
from certmill.home.directory.files import Locks, TooLarge, make_directory, reaching, read_capped, replace_file
from certmill.model.persisted import Codec
from certmill.model.status import CertificateStatus, IssuerStatus

_CERTIFICATE: Final = Codec(CertificateStatus, lenient=True)
_ISSUER: Final = Codec(IssuerStatus, lenient=True)
# Each step of a run reads both statuses, and they seldom change meanwhile.
_certificate_status = lru_cache(maxsize=256)(_CERTIFICATE.load)
_issuer_status = lru_cache(maxsize=64)(_ISSUER.load)


class StatusFiles:
    """The status of Certificates and Issuers under `directory`. A damaged file counts as missing. Every
    method raises HomeUnavailable; reading raises NewerRelease."""

    def __init__(self, directory: Path, locks: Locks) -> None:
        self._directory = directory
        self._locks = locks

    def certificate(self, namespace: str, name: str) -> CertificateStatus:
        """Return the stored status; an empty one if there is none. Its version is the content of the file."""
        content = self._content_of("Certificate", namespace, name)
        return replace(_certificate_status(content), version=content)

    def issuer(self, kind: str, namespace: str, name: str) -> IssuerStatus:
        """Return the stored status; an empty one if there is none."""
        return _issuer_status(self._content_of(kind, namespace, name))

    def write(self, kind: str, namespace: str, name: str, status: CertificateStatus | IssuerStatus) -> None:
        """Store a status. Nothing is written if the file has it already. Fields that a newer release has
        written stay. Raises Conflict if the file has changed since the status was read, and
        InvalidManifest."""
        layout.require_names(kind, namespace, name)
        path = self._path(kind, namespace, name)
        with reaching("write", f"status/{path.name}"), self._locks.hold(f"status {path.name}"):
            before = b""
            with suppress(FileNotFoundError, TooLarge):
                before = read_capped(path) or b""
            content = _content(status, before)
            if before == content:
                return
            if isinstance(status, CertificateStatus) and status.version not in (None, before):
                raise Conflict(
                    f"{kind} {namespace}/{name} has a newer status than the one that was read; it is read "
                    "again"
                )
            try:
                replace_file(path, content, durable=False)
            except FileNotFoundError:
                make_directory(self._directory)
                replace_file(path, content, durable=False)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete a status."""
        path = self._path(kind, namespace, name)
        with reaching("delete", f"status/{path.name}"), suppress(FileNotFoundError):
            path.unlink()

    def _path(self, kind: str, namespace: str, name: str) -> Path:
        return self._directory / layout.file_name(kind, namespace, name, ".json")

    def _content_of(self, kind: str, namespace: str, name: str) -> bytes:
        if not layout.is_name(namespace, name):
            return b""
        path, content = self._path(kind, namespace, name), b""
        with (
            reaching("read", f"status/{path.name}"),
            suppress(FileNotFoundError, NotADirectoryError, TooLarge),
        ):
            content = read_capped(path) or b""
        return content


def _content(status: CertificateStatus | IssuerStatus, before: bytes) -> bytes:
    """Return the content of the file for this status; `before` is its present content."""
    if isinstance(status, CertificateStatus):
        return _CERTIFICATE.dump(status, unknown=_CERTIFICATE.unknown(before)).encode()
    return _ISSUER.dump(status, unknown=_ISSUER.unknown(before)).encode()
