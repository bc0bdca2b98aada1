"""What the files of manifests/ hold, as this process read them last: by file, with the signature it had, and
by object.

An object is looked up by one `stat` of the file that has its name; then in the file that is known to hold it;
then in whatever is new or, among the files that are not named after an object, has changed. A survey looks at
every file, and parses what has changed.

Of several files with one object the one that has its name counts, else the first by name, and the others are
problems. All processes see that alike: the one that has its name is looked at each time, and as long as there
is none, the files of people every few seconds."""

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
"""So old may be what this process knows of the files that are not named after an object, when one of them
counts."""
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
        """The object; None if no file has it. Raises InvalidManifest if one has it and it is wrong."""
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
        """The files that hold the object, wrong or not, that which counts first; the file with its name too,
        if it is unreadable."""
        self.refresh(None)
        own = layout.file_name(*key, ".yaml")
        file = self._files.get(own)
        unreadable = (own,) if file is not None and file.is_unreadable else ()
        return unreadable + self._holders.get(key, ())

    def written(self, key: Key) -> float | None:
        """When the file that has the object was written, as of the last look at it; seconds since the
        epoch."""
        files = (self._files.get(name) for name in self._holders.get(key, ())[:1])
        return next((file.written_ns / 1e9 for file in files if file is not None), None)

    def known(self, key: Key) -> tuple[tuple[str, ...], Kept | None]:
        """The files that hold the object, and the object, by one look at its own file and at the one that
        counts: for a caller with many objects, who calls `refresh_if_old` first."""
        own = layout.file_name(*key, ".yaml")
        file = self.load(own)
        unreadable = (own,) if file is not None and file.is_unreadable else ()
        names = unreadable + self._holders.get(key, ())
        file = self.load(names[0]) if names else None
        return names, file.objects.get(key) if file is not None else None

    def refresh_if_old(self) -> None:
        """Read what is new, and look at the files of people, unless that was done a moment ago."""
        if 0.0 <= self._clock.now() - self._refreshed < _BY_HAND_SECONDS:
            with self._refreshing:
                self._unread |= self._list(always=False)
                for name in [*self._unread]:
                    self.load(name)
                    self._unread.discard(name)
        else:
            self.refresh(None)

    def issuers(self) -> Iterator[Kept]:
        """Every valid Issuer and ClusterIssuer, by kind, namespace and name. Its cost does not grow with the
        number of Certificates."""
        self.refresh_if_old()
        for key in sorted(self._issuers):
            names = self._holders.get(key, ())
            file = self.load(names[0]) if names else None
            if file is not None and (kept := file.objects.get(key)) is not None:
                yield kept

    def objects(self) -> Iterator[tuple[Key, Kept]]:
        """Every valid object, by kind, namespace and name, as of the last refresh."""
        for key, names in sorted(self._holders.items()):
            file = self._files.get(names[0])
            if file is not None and (kept := file.objects.get(key)) is not None:
                yield key, kept

    def problems(self) -> Iterator[Problem]:
        """What cannot be used, by file, as of the last refresh."""
        for name, file in sorted(self._files.items()):
            yield from file.problems
            for kind, namespace, object_name in sorted({*file.objects, *file.broken}):
                first = self._holders.get((kind, namespace, object_name), (name,))[0]
                if first != name:
                    where = f"{namespace}/{object_name}" if namespace else object_name
                    message = f"{kind} {where} is in {source_of(first)} too, which counts; remove one of them"
                    yield Problem(source=source_of(name), message=message)

    def refresh(self, wanted: Key | None, *, everything: bool = False) -> None:
        """Read what is new, and what has changed among files not named after an object, or among all. May end
        when `wanted` is found."""
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
        """The file as it is now, parsed only if it has changed; None if it is gone."""
        known = self._files.get(name)
        file = read_file(str(self._directory), name, known)
        if file is not None and file is known:
            return file
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
        """Drop what is gone, and give the names that are new and an object's. Nothing, if the directory says
        that no file came or went."""
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
        """Take a file's new content into both maps."""
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
        """The same value with parts that most Certificates have in common kept once: 100,000 of them have to
        fit."""
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
    """The file that has the object's name first; those with another object's last, which are read only when
    nothing else is found."""
    own = layout.file_name(*key, ".yaml")
    return tuple(
        sorted(
            names, key=lambda name: (name != own, _NAMED_AFTER_AN_OBJECT.fullmatch(name) is not None, name)
        )
    )
