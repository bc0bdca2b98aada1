"""Writes to manifests/. Users put files there, each with any number of documents; `apply` writes one file for
each object beside them.

An object that is in a user's file is changed in that file, and the rest of its text stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from certmill.errors import InvalidManifest
from certmill.home import layout, requested
from certmill.home.base import Change, Manifest
from certmill.home.directory import documents
from certmill.home.directory.documents import Key
from certmill.home.directory.files import (
    Locks,
    TooLarge,
    make_directory,
    reaching,
    read_capped,
    replace_file,
    sync_directory,
)
from certmill.home.directory.manifest_file import reason_of, source_of, written_file
from certmill.home.directory.manifest_index import ManifestIndex
from certmill.model.certificate import Certificate
from certmill.model.manifests.parse import certificate_document, dump_yaml

_LOCK = "manifests"


Wanted = tuple[Key, Manifest, str]
"""The key, the desired object and its document."""


class _Batch:
    """One file while several of its documents are changed: its new text, and the objects put into it."""

    __slots__ = ("edited", "path", "values")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.edited: documents.Edited | None = None
        self.values: dict[Key, Manifest] = {}


class ManifestFiles:
    """Writes to the directory that `index` reads. Every method raises HomeUnavailable. A lock serializes the
    writers."""

    def __init__(self, directory: Path, index: ManifestIndex, locks: Locks) -> None:
        self._directory = directory
        self._index = index
        self._locks = locks

    def apply(self, key: Key, manifest: Manifest, document: str) -> Change:
        """Store the document. A document with the same meaning as the stored one changes nothing. Raises
        InvalidManifest."""
        layout.require_names(*key)
        with self._writing(key):
            try:
                kept = self._index.find(key)
            except InvalidManifest:
                kept = None
            if kept is not None and kept.value == manifest:
                return Change.UNCHANGED
            return self._keep(key, manifest, document)

    def apply_all(self, wanted: Sequence[Wanted]) -> Iterator[Change | InvalidManifest]:
        """As `apply` for each object in order; an error is yielded in place of the Change. Each file is read,
        parsed and written once for all its objects."""
        self._index.refresh_if_old()
        files = [self._file_of(key) for key, _, _ in wanted]
        together: dict[str, dict[int, Wanted]] = {}
        for number, one in enumerate(wanted):
            together.setdefault(files[number], {})[number] = one
        done: dict[int, Change | InvalidManifest] = {}
        for number, name in enumerate(files):
            if number not in done:
                done |= self._apply_to(name, together[name])
            yield done.pop(number)

    def request(self, certificate: Certificate) -> Change:
        """Store the Certificate of a request, unless a manifest created the existing one. Raises
        InvalidManifest."""
        key: Key = ("Certificate", certificate.namespace, certificate.name)
        layout.require_names(*key)
        with self._writing(key):
            try:
                kept = self._index.find(key)
            except InvalidManifest as error:
                raise requested.wrong(certificate, error) from None
            existing = kept.value if kept is not None and isinstance(kept.value, Certificate) else None
            if requested.outcome_of(existing, certificate) is Change.UNCHANGED:
                return Change.UNCHANGED
            stored = requested.marked(certificate)
            return self._keep(key, stored, dump_yaml(certificate_document(stored)))

    def _keep(self, key: Key, manifest: Manifest, document: str) -> Change:
        holders = self._index.holders(key)
        name = holders[0] if holders else layout.file_name(*key, ".yaml")
        self._put(name, key, manifest, document)
        return Change.CONFIGURED if holders else Change.CREATED

    def _file_of(self, key: Key) -> str:
        return (*self._index.known(key)[0], layout.file_name(*key, ".yaml"))[0]

    def _apply_to(self, name: str, wanted: Mapping[int, Wanted]) -> dict[int, Change | InvalidManifest]:
        """Store these documents, given by their numbers, in one file."""
        done: dict[int, Change | InvalidManifest] = {}
        with self._writing(next(iter(wanted.values()))[0]):
            batch = _Batch(self._directory / name)
            for number, (key, manifest, document) in wanted.items():
                try:
                    done[number] = self._add(batch, key, manifest, document)
                except InvalidManifest as error:
                    done[number] = error
            if batch.edited is not None:
                replace_file(batch.path, batch.edited.text.encode(), durable=True)
                self._index.load(name)
        return done

    def _add(self, batch: _Batch, key: Key, manifest: Manifest, document: str) -> Change:
        """Add the document to the batch's text; if a file has only this object, write that file at once.
        Raises InvalidManifest."""
        layout.require_names(*key)
        names, kept = self._index.known(key)
        before = batch.values.get(key, kept.value if kept is not None else None)
        if before == manifest:
            return Change.UNCHANGED
        name = batch.path.name
        if name == layout.file_name(*key, ".yaml") or batch.path.suffix == ".json":
            self._put(name, key, manifest, document)
        else:
            if batch.edited is None:
                batch.edited = documents.Edited(
                    self._text(batch.path, source_of(name)), source=source_of(name)
                )
            batch.edited.put(key, document)
        created = not names and key not in batch.values
        batch.values[key] = manifest
        return Change.CREATED if created else Change.CONFIGURED

    def delete(self, key: Key) -> bool:
        """Remove its document from every file. Returns False if no file has it. Raises InvalidManifest if a
        file is a link, or has the object in a List."""
        if not layout.is_name(key[1], key[2]):
            return False
        with self._writing(key):
            holders = self._index.holders(key)
            for name in holders:
                self._take_out(name, key)
            return bool(holders)

    @contextmanager
    def _writing(self, key: Key) -> Iterator[None]:
        with reaching("write", f"manifests/{layout.file_name(*key, '.yaml')}"), self._locks.hold(_LOCK):
            yield

    def _put(self, name: str, key: Key, manifest: Manifest, document: str) -> None:
        path, source = self._directory / name, source_of(name)
        make_directory(self._directory)
        text = self._text(path, source)
        if (
            documents.count(text) == 1
            and name == layout.file_name(*key, ".yaml")
            and not documents.read(text, source=source).objects
        ):
            text = ""
        text = documents.with_document(text, key, document, source=source)
        if path.suffix == ".json":
            text = json.dumps(yaml.safe_load(document), indent=2, default=str) + "\n"
        written = replace_file(path, text.encode(), durable=True)
        file = None
        if text == document and isinstance(manifest, Certificate):  # no need to parse it again
            file = written_file(str(self._directory), name, key, manifest, document, written=written)
        if file is not None:
            self._index.store(name, file)
        else:
            self._index.load(name)

    def _take_out(self, name: str, key: Key) -> None:
        path, source = self._directory / name, source_of(name)
        left = documents.without(self._text(path, source), key, source=source)
        if left and (
            documents.count(left) > 1
            or documents.read(left, source=source).objects
            or name != layout.file_name(*key, ".yaml")
        ):
            replace_file(path, left.encode(), durable=True)
        else:
            path.unlink()
            sync_directory(self._directory)
        self._index.load(name)

    def _text(self, path: Path, source: str) -> str:
        """Return the file's text; "" if it does not exist. certmill changes only a regular, readable file."""
        if path.is_symlink():
            raise InvalidManifest("is a link: change the file that it leads to", source=source)
        try:
            content = read_capped(path)
            text = None if content is None else content.decode()
        except FileNotFoundError:
            return ""
        except (TooLarge, UnicodeDecodeError):
            raise InvalidManifest(
                "cannot be changed: it is too large, or not UTF-8; repair it or remove it", source=source
            ) from None
        except OSError as error:
            reason = reason_of(error, str(self._directory))
            if not reason:
                raise
            raise InvalidManifest(f"cannot be changed: it {reason}", source=source) from error
        if text is None:
            raise InvalidManifest("cannot be changed: it is not a file; remove it", source=source)
        return text
