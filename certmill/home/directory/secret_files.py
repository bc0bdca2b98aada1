"""Secrets as files, in the layout of a mounted Secret. A program that reads `tls.crt` and `tls.key` from a
mounted Secret can read them here.

    secrets/<namespace>/<name>/tls.crt -> ..data/tls.crt      a link for each key
                              /tls.key -> ..data/tls.key
                              /..data  -> ..6f0d…             the current version
                              /..6f0d…/tls.crt, tls.key, ..metadata.json

A write creates a whole new version, flushes it to the disk, and then switches `..data` to it by one rename. A
reader that reads through `..data` sees the whole old pair or the whole new one, also after a crash. The links
of new keys are made before the switch; those of old keys are removed after it. Plain files put there by hand
are keys as well. The next write removes what a crash left over. A lock serializes the writers of one Secret
(`files.Locks`). A directory on the path that is a symbolic link is read and never written through.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from certmill.errors import HomeUnavailable, SecretUnusable
from certmill.home import layout, ownership
from certmill.home.base import Change
from certmill.home.directory import secret_metadata
from certmill.home.directory.files import (
    NO_LINK,
    Locks,
    advice,
    first_link,
    make_directory,
    opened_directory,
    reaching,
    sync_directory,
)
from certmill.home.directory.secret_cache import SecretCache
from certmill.home.directory.secret_entries import DATA, ODD, contents_of, keys_of, target_of
from certmill.home.directory.secret_versions import remove, remove_stale, switch_version
from certmill.home.ownership import Held
from certmill.model.identifiers import is_secret_key
from certmill.model.secret import TLS_CERTIFICATE, TLS_PRIVATE_KEY, Secret

_TRASH = ".trash"
_READS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A Secret as it is on the disk: the content of `..data`, and plain files beside it, which have
    precedence."""

    version: Mapping[str, bytes]
    plain: Mapping[str, bytes]
    held: Held


class SecretFiles:
    """Secrets under `root`. Every method raises HomeUnavailable. A name that Kubernetes does not allow is
    treated as missing, and is not written."""

    def __init__(self, root: Path, locks: Locks) -> None:
        self._root = root
        self._locks = locks
        self._cache = SecretCache()

    def read(self, namespace: str, name: str) -> Held | None:
        """Return the Secret; None if there is none. Raises SecretUnusable if a key is larger than 1 MiB or
        cannot be read, or the metadata is damaged."""
        if not namespace or not layout.is_name(namespace, name):
            return None
        directory = str(self._directory(namespace, name))
        if (cached := self._cache.get(directory)) is not None:
            return cached
        before = self._cache.state_of(directory)
        with reaching("read", _named(namespace, name)):
            try:
                found = self._read(self._directory(namespace, name), namespace, name)
            except OSError as error:
                if (
                    error.errno in ODD and self._directory(namespace, name).is_symlink()
                ):  # the link leads to itself; any other error is an error of the home
                    raise SecretUnusable(
                        f"Secret {namespace}/{name} cannot be read: {advice(error)}"
                    ) from error
                raise
        if found is None:
            return None
        self._cache.put(directory, found.held, before=before)
        return found.held

    def write(self, secret: Secret, writer: str, *, applied: str = "") -> Change:
        """Make the writer's keys, labels and annotations equal to these, in one atomic write. Raises
        InvalidManifest."""
        layout.require_secret(secret)
        with (
            self._writing(secret.namespace, secret.name),
            self._opened(secret.namespace, secret.name) as directory,
        ):
            found = self._read(directory, secret.namespace, secret.name)
            wanted = ownership.merged(found.held if found else None, secret, writer, applied=applied)
            if found and wanted == found.held:
                remove_stale(directory)
                return Change.UNCHANGED
            self._write(directory, found, wanted, secret)
            return Change.CONFIGURED if found else Change.CREATED

    def create(self, secret: Secret, writer: str) -> bool:
        """Write it only if there is no Secret of this name. Raises InvalidManifest."""
        layout.require_secret(secret)
        with (
            self._writing(secret.namespace, secret.name),
            self._opened(secret.namespace, secret.name) as directory,
        ):
            if self._read(directory, secret.namespace, secret.name):
                return False
            self._write(directory, None, ownership.merged(None, secret, writer), secret)
            return True

    def delete(self, namespace: str, name: str) -> bool:
        """Remove the Secret with all its keys in one step. Returns False if there was none."""
        if not namespace or not layout.is_name(namespace, name):
            return False
        trash = self._root / _TRASH
        if not os.path.lexists(self._directory(namespace, name)):
            return False
        with self._writing(namespace, name, action="delete"), self._opened(namespace) as parent:
            make_directory(trash)
            try:
                (parent / name).rename(trash / secrets.token_hex(8))
            except FileNotFoundError:
                return False
            sync_directory(parent)
            for left in trash.iterdir():
                remove(left)
        return True

    def names(self, namespace: str | None = None) -> Iterator[tuple[str, str]]:
        """Yield (namespace, name) of every entry that may be a Secret, in order."""
        with reaching("read", "secrets"):
            spaces = [namespace] if namespace is not None else _subdirectories(self._root)
            for space in spaces:
                if layout.is_name(space, "x") and space:
                    yield from (
                        (space, name)
                        for name in _subdirectories(self._root / space)
                        if layout.is_name("", name)
                    )

    def created(self, namespace: str, name: str) -> float | None:
        """Return when its oldest key was created: a link stays when its target is renewed. None if there is
        no Secret."""
        if not namespace or not layout.is_name(namespace, name):
            return None
        with reaching("read", _named(namespace, name)):
            try:
                entries = [
                    entry
                    for entry in os.scandir(self._directory(namespace, name))
                    if is_secret_key(entry.name)
                ]
                return min((entry.stat(follow_symlinks=False).st_mtime for entry in entries), default=None)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def signature(
        self, namespace: str, name: str, keys: tuple[str, ...] = (TLS_CERTIFICATE, TLS_PRIVATE_KEY)
    ) -> str:
        """Return a short text that changes whenever these keys do. It is made of the current version's name
        and the times of the files; it costs a few system calls."""
        directory = f"{self._root}/{namespace}/{name}"
        try:
            version = os.readlink(f"{directory}/{DATA}")  # noqa: PTH115 - a survey does this for every Certificate
        except OSError:
            version = ""
        return "/".join((version, *(_written(f"{directory}/{key}") for key in keys)))

    def unwritable(self, namespace: str, name: str) -> str:
        """Return why a pair cannot be written there: a directory on the path is a symbolic link, or there is
        one in the place of a key. "" if it can be written."""
        if not namespace or not layout.is_name(namespace, name):
            return ""
        with reaching("read", _named(namespace, name)):
            if link := first_link(self._root, namespace, name):
                return f"{link} {NO_LINK}"
            keys = (self._directory(namespace, name) / key for key in (TLS_CERTIFICATE, TLS_PRIVATE_KEY))
            found = next((key.name for key in keys if not key.is_symlink() and key.is_dir()), "")
        return (
            f"{_named(namespace, name)}/{found} is a directory, where a key belongs; remove it"
            if found
            else ""
        )

    def _opened(self, *names: str) -> AbstractContextManager[Path]:
        """Open the directory of a namespace, or of a Secret in it, for a writer. Raises InvalidManifest for a
        link on the path."""
        return opened_directory(self._root, *names)

    def _directory(self, namespace: str, name: str) -> Path:
        return self._root / namespace / name

    @contextmanager
    def _writing(self, namespace: str, name: str, *, action: str = "write") -> Iterator[None]:
        with reaching(action, _named(namespace, name)), self._locks.hold(f"Secret {namespace}/{name}"):
            yield

    def _read(self, directory: Path, namespace: str, name: str) -> _Found | None:
        """Read through `..data`; read again if it changed in the meantime. A key without its link was removed
        by a person."""
        for _ in range(_READS):
            target = target_of(directory)
            try:
                linked, plain = keys_of(directory, namespace, name)
                version = directory / target
                data = (
                    contents_of(((key, version / key) for key in linked), namespace, name) if target else {}
                )
                metadata = (
                    contents_of([(secret_metadata.FILE, version / secret_metadata.FILE)], namespace, name)
                    if target
                    else {}
                )
            except (FileNotFoundError, NotADirectoryError):
                if target == target_of(directory):
                    return None
                continue
            if target == target_of(directory):
                if not data and not plain and not metadata:
                    return None
                held = secret_metadata.decode(
                    metadata.get(secret_metadata.FILE), namespace, name, {**data, **plain}
                )
                return _Found(version=data, plain=plain, held=held)
        raise HomeUnavailable(
            f"{_named(namespace, name)} in the home is rewritten faster than it can be read: who else "
            "writes it?"
        )

    def _write(self, directory: Path, found: _Found | None, wanted: Held, secret: Secret) -> None:
        by_hand = dict(found.plain) if found else {}
        replaced = {
            key: value
            for key, value in by_hand.items()
            if key in secret.data or key not in wanted.secret.data
        }
        if found and replaced:
            # First write the same contents behind links, then switch once to the new ones: the pair is never
            # half new.
            switch_version(directory, {**found.version, **replaced}, found.held)
        kept_plain = by_hand.keys() - replaced.keys()
        switch_version(
            directory,
            {key: value for key, value in wanted.secret.data.items() if key not in kept_plain},
            wanted,
        )
        remove_stale(directory)


def _named(namespace: str, name: str) -> str:
    return f"secrets/{namespace}/{name}"


def _subdirectories(directory: Path) -> list[str]:
    try:
        return sorted(
            entry.name
            for entry in os.scandir(directory)
            if not entry.name.startswith(".") and _is_directory(entry)
        )
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """Whether it is a directory. A link that leads to nothing, or to itself, is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _written(path: str) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116 - a survey does this for every Certificate
    except OSError:
        return ""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"
