"""Status as small JSON files, `status/<kind>.<namespace>.<name>.json`: replaced at once, not forced to the disk (it can be found again)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from certmill.home import layout
from certmill.home.files import Locks, TooLarge, make_directory, reaching, read_capped, replace_file
from certmill.model.status import CertificateStatus, Condition, IssuerStatus


class StatusFiles:
    """The status of Certificates and Issuers under `directory`. A file that is damaged is as none. Every method raises HomeUnavailable."""

    def __init__(self, directory: Path, locks: Locks) -> None:
        self._directory = directory
        self._locks = locks

    def certificate(self, namespace: str, name: str) -> CertificateStatus:
        """What is kept; an empty status if nothing is."""
        content = self._read("Certificate", namespace, name)
        return CertificateStatus(
            conditions=_conditions(content),
            not_before=_instant(content, "not_before"),
            not_after=_instant(content, "not_after"),
            renewal_time=_instant(content, "renewal_time"),
            revision=_count(content, "revision"),
            last_issuance_time=_instant(content, "last_issuance_time"),
            last_failure_time=_instant(content, "last_failure_time"),
            failed_issuance_attempts=_count(content, "failed_issuance_attempts"),
            next_attempt=_instant(content, "next_attempt"),
            failed_spec=_text(content, "failed_spec"),
        )

    def issuer(self, kind: str, namespace: str, name: str) -> IssuerStatus:
        """What is kept; an empty status if nothing is."""
        content = self._read(kind, namespace, name)
        return IssuerStatus(
            conditions=_conditions(content),
            uri=_text(content, "uri"),
            last_registered_email=_text(content, "last_registered_email"),
            last_private_key_hash=_text(content, "last_private_key_hash"),
            server=_text(content, "server"),
        )

    def write(self, kind: str, namespace: str, name: str, status: CertificateStatus | IssuerStatus) -> None:
        """Keep a status; nothing is written if it is there already. Raises InvalidManifest."""
        layout.require_names(kind, namespace, name)
        path, content = self._path(kind, namespace, name), json.dumps(asdict(status)).encode()
        with reaching("write", f"status/{path.name}"), self._locks.hold(f"status {path.name}"):
            with suppress(FileNotFoundError, TooLarge):
                if read_capped(path) == content:
                    return
            try:
                replace_file(path, content, durable=False)
            except FileNotFoundError:
                make_directory(self._directory)
                replace_file(path, content, durable=False)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Forget a status."""
        path = self._path(kind, namespace, name)
        with reaching("delete", f"status/{path.name}"), suppress(FileNotFoundError):
            path.unlink()

    def _path(self, kind: str, namespace: str, name: str) -> Path:
        return self._directory / layout.file_name(kind, namespace, name, ".json")

    def _read(self, kind: str, namespace: str, name: str) -> Mapping[str, object]:
        if not layout.is_name(namespace, name):
            return {}
        path = self._path(kind, namespace, name)
        with reaching("read", f"status/{path.name}"):
            try:
                content: object = json.loads(read_capped(path) or b"{}")
            except (FileNotFoundError, NotADirectoryError, TooLarge, ValueError, RecursionError):
                return {}
        return content if isinstance(content, dict) else {}


def _text(content: Mapping[str, object], field: str) -> str:
    value = content.get(field)
    return value if isinstance(value, str) else ""


def _instant(content: Mapping[str, object], field: str) -> float | None:
    value = content.get(field)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(content: Mapping[str, object], field: str) -> int:
    value = content.get(field)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _conditions(content: Mapping[str, object]) -> tuple[Condition, ...]:
    found = content.get("conditions")
    return tuple(_condition(item) for item in found if isinstance(item, dict)) if isinstance(found, list) else ()


def _condition(content: Mapping[str, object]) -> Condition:
    return Condition(
        type=_text(content, "type"),
        status=content.get("status") is True,
        reason=_text(content, "reason"),
        message=_text(content, "message"),
        last_transition=_instant(content, "last_transition") or 0.0,
    )
