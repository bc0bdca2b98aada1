"""The content of the files in manifests/ as this process read them: by file, with the file's signature, and
by object.

The index finds an object with one `stat` of the file that has the object's name. If it is not there, the
index checks the file that is known to have the object. After that it reads new files, and changed files that
are not named after an object. A survey checks every file and parses those that have changed.

If several files have the same object, the file with its name counts, else the first by name; the others are
problems. All processes choose the same file: they check the file with the object's name each time. While that
does not exist, they check the files of users every few seconds.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from certmill.clock import Clock
from certmill.errors import InvalidManifest
from certmill.home import layout
from certmill.home.base import Manifest, Problem
from certmill.home.directory.documents import Key
from certmill.home.directory.files import reaching
from certmill.home.directory.manifest_file import Kept, ManifestFile, read_file, source_of
from certmill.model.certificate import Certificate, SecretTemplate

_SUFFIXES = (".yaml", ".yml", ".json")
_NAMED_AFTER_AN_OBJECT = re.compile(r"((certificate|issuer)\.[^.]+|clusterissuer)\..+\.yaml")
_ISSUER_KINDS = ("Issuer", layout.CLUSTER_ISSUER)
_BY_HAND_SECONDS = 5.0
"""The maximum age, in seconds, of what this process knows of the files that are not named after an object,
when one of them counts."""
_Part = TypeVar("_Part")
_NO_TEMPLATE = SecretTemplate()
_NOTHING: Mapping[str, str] = {}


class ManifestIndex:
    """The index over one directory. Safe for threads; every method raises HomeUnavailable."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._files: dict[str, ManifestFile] = {}
        self._holders: dict[Key, tuple[str, ...]] = {}
        self._issuers: set[Key] = set()
        self._changing = threading.Lock()
        self._refreshing = threading.Lock()
        self._shared: dict[object, object] = {}
        self._by_hand: set[str] = set()
        self._unread: set[str] = set()
        self._listed = -1
        self._refreshed = 0.0

    def find(self, key: Key) -> Kept | None:
        """Return the object; None if no file has it. Raises InvalidManifest if a file has it and it is
        invalid."""
        own = layout.file_name(*key, ".yaml")
        if (kept := self._in(own, key)) is not None:
            return kept
        file = self._files.get(own)
        if file is not None and file.is_unreadable:
            raise InvalidManifest(file.problems[0].message, source=file.problems[0].source)
        if self._holders.get(key) and not 0.0 <= self._clock.now() - self._refreshed < _BY_HAND_SECONDS:
            self.refresh(key)
        for name in self._holders.get(key, ())[:1]:
            if (kept := self._in(name, key)) is not None:
                return kept
        self.refresh(key)
        for name in self._holders.get(key, ())[:1]:
            return self._in(name, key)
        if file is not None and not file.objects and file.problems:
            raise InvalidManifest(file.problems[0].message, source=file.problems[0].source)
        return None

    def holders(self, key: Key) -> tuple[str, ...]:
        """Return the files that have the object, valid or not; the one that counts is first. If the file with
        the object's name is unreadable, it is included."""
        self.refresh(None)
        own = layout.file_name(*key, ".yaml")
        file = self._files.get(own)
        unreadable = (own,) if file is not None and file.is_unreadable else ()
        return unreadable + self._holders.get(key, ())

    def written(self, key: Key) -> float | None:
        """Return when the file that has the object was written, as of the last check of that file; seconds
        since the epoch."""
        files = (self._files.get(name) for name in self._holders.get(key, ())[:1])
        return next((file.written_ns / 1e9 for file in files if file is not None), None)

    def known(self, key: Key) -> tuple[tuple[str, ...], Kept | None]:
        """Return the files that have the object, and the object. Checks only the object's own file and the
        one that counts: for a caller with many objects, which calls `refresh_if_old` first."""
        own = layout.file_name(*key, ".yaml")
        file = self.load(own)
        unreadable = (own,) if file is not None and file.is_unreadable else ()
        names = unreadable + self._holders.get(key, ())
        file = self.load(names[0]) if names else None
        return names, file.objects.get(key) if file is not None else None

    def refresh_if_old(self) -> None:
        """Read new files. Check the files of users too, unless that was done in the last few seconds
        (`_BY_HAND_SECONDS`)."""
        if 0.0 <= self._clock.now() - self._refreshed < _BY_HAND_SECONDS:
            with self._refreshing:
                self._unread |= self._list(always=False)
                for name in [*self._unread]:
                    self.load(name)
                    self._unread.discard(name)
        else:
            self.refresh(None)

    def issuers(self) -> Iterator[Kept]:
        """Yield every valid Issuer and ClusterIssuer, by kind, namespace and name. The cost does not grow
        with the number of Certificates."""
        self.refresh_if_old()
        for key in sorted(self._issuers):
            names = self._holders.get(key, ())
            file = self.load(names[0]) if names else None
            if file is not None and (kept := file.objects.get(key)) is not None:
                yield kept

    def objects(self) -> Iterator[tuple[Key, Kept]]:
        """Yield every valid object, by kind, namespace and name, as of the last refresh."""
        for key, names in sorted(self._holders.items()):
            file = self._files.get(names[0])
            if file is not None and (kept := file.objects.get(key)) is not None:
                yield key, kept

    def problems(self) -> Iterator[Problem]:
        """Yield what cannot be used, by file, as of the last refresh."""
        for name, file in sorted(self._files.items()):
            yield from file.problems
            for kind, namespace, object_name in sorted({*file.objects, *file.broken}):
                first = self._holders.get((kind, namespace, object_name), (name,))[0]
                if first != name:
                    where = f"{namespace}/{object_name}" if namespace else object_name
                    message = f"{kind} {where} is in {source_of(first)} too, which counts; remove one of them"
                    yield Problem(source=source_of(name), message=message)

    def refresh(self, wanted: Key | None, *, everything: bool = False) -> None:
        """Read new files, and changed ones: among the files not named after an object, or with `everything`
        among all files. It may end as soon as `wanted` is found."""
        with self._refreshing:
            self._unread |= self._list(always=everything)
            for name in [*self._by_hand]:
                self.load(name)
            self._refreshed = self._clock.now()
            if wanted is not None and wanted in self._holders:
                return
            for name in {*self._unread, *self._files} - self._by_hand if everything else [*self._unread]:
                self.load(name)
                self._unread.discard(name)

    def load(self, name: str) -> ManifestFile | None:
        """Return the file as it is now, parsed only if it has changed; None if it is gone."""
        known = self._files.get(name)
        file = read_file(str(self._directory), name, known)
        return file if file is not None and file is known else self.store(name, file)

    def store(self, name: str, file: ManifestFile | None) -> ManifestFile | None:
        """Store a file's new content; None if it is gone. Returns it as it is stored."""
        if file is not None:
            file = replace(
                file,
                objects={
                    key: replace(kept, value=self._compact(kept.value)) for key, kept in file.objects.items()
                },
            )
        self._set(name, file)
        return file

    def _in(self, name: str, key: Key) -> Kept | None:
        file = self.load(name)
        if file is None:
            return None
        broken = file.broken.get(key)
        if broken is not None:
            raise InvalidManifest(broken.message, source=broken.source)
        return file.objects.get(key)

    def _list(self, *, always: bool) -> set[str]:
        """Drop the files that are gone, and return the new files that are named after an object. Does nothing
        if the directory's time shows that no file was added or removed."""
        with reaching("read", "manifests"):
            try:
                changed = os.stat(self._directory).st_mtime_ns  # noqa: PTH116 - as in load
                if changed == self._listed and not always:
                    return set()
                names = {
                    name
                    for name in os.listdir(self._directory)  # noqa: PTH208 - as in load
                    if name.endswith(_SUFFIXES) and name[0] != "."
                }
            except FileNotFoundError:
                changed, names = -1, set()
        known = self._files.keys() | self._by_hand | self._unread
        for name in known - names:
            self._set(name, None)
            self._by_hand.discard(name)
            self._unread.discard(name)
        new = names - known
        by_hand = {name for name in new if not _NAMED_AFTER_AN_OBJECT.fullmatch(name)}
        self._by_hand |= by_hand
        self._listed = changed
        return new - by_hand

    def _set(self, name: str, file: ManifestFile | None) -> None:
        """Store a file's new content in both maps."""
        with self._changing:
            old = self._files.pop(name, None)
            before = {*old.objects, *old.broken} if old else set()
            after = {*file.objects, *file.broken} if file else set()
            if file is not None:
                self._files[name] = file
            for key in before - after:
                left = tuple(other for other in self._holders.get(key, ()) if other != name)
                if left:
                    self._holders[key] = left
                else:
                    self._holders.pop(key, None)
                    self._issuers.discard(key)
            self._issuers |= {key for key in after if key[0] in _ISSUER_KINDS}
            for key in after - before:
                others = self._holders.get(key, ())
                self._holders[key] = _in_order(key, {*others, name}) if others else (name,)

    def _compact(self, value: Manifest) -> Manifest:
        """Return the same value, with parts that many Certificates share stored once, so that 100,000
        Certificates fit in memory."""
        if not isinstance(value, Certificate):
            return value
        template = value.secret_template
        return replace(
            value,
            namespace=self._once(value.namespace),
            issuer_ref=self._once(value.issuer_ref),
            private_key=self._once(value.private_key),
            subject=self._once(value.subject),
            usages=self._once(value.usages),
            secret_template=template if template.labels or template.annotations else _NO_TEMPLATE,
            labels=value.labels or _NOTHING,
            annotations=value.annotations or _NOTHING,
        )

    def _once(self, part: _Part) -> _Part:
        return self._shared.setdefault(part, part)  # type: ignore[return-value]


def _in_order(key: Key, names: Iterable[str]) -> tuple[str, ...]:
    """Sort the files: first the one with the object's name, last those with the name of another object, which
    are read only when no other file has it."""
    own = layout.file_name(*key, ".yaml")
    return tuple(
        sorted(
            names, key=lambda name: (name != own, _NAMED_AFTER_AN_OBJECT.fullmatch(name) is not None, name)
        )
    )
