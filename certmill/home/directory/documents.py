"""The documents of a manifest file: the objects in it, the invalid documents, and the file's text with one
document replaced or removed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, pairwise, repeat

from certmill.errors import InvalidManifest
from certmill.home import layout
from certmill.home.base import Problem
from certmill.model.manifests.parse import Document, parse_documents

Key = tuple[str, str, str]
"""Kind, namespace (empty for a ClusterIssuer), name."""

KINDS = ("Certificate", "Issuer", layout.CLUSTER_ISSUER, "Secret")

_BOUNDARY = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_EMPTY_LINE = re.compile(r"\s*(#.*)?|---\s*(#.*)?|\.\.\.\s*(#.*)?")
_KIND = re.compile(r"^[ \t{]*[\"']?kind[\"']?[ \t]*:[ \t]*[\"']?(" + "|".join(KINDS) + r")\b", re.MULTILINE)
_METADATA = re.compile(r"^[ \t{]*[\"']?metadata[\"']?[ \t]*:(.{0,4000})", re.MULTILINE | re.DOTALL)
_FIELD = {
    name: re.compile(rf"[\"']?\b{name}[\"']?[ \t]*:[ \t]*[\"']?([-.a-z0-9]+)")
    for name in ("name", "namespace")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The valid objects of a file, the keys of the invalid ones as far as they can be read, and all
    problems."""

    objects: Mapping[Key, Document]
    broken: Mapping[Key, Problem]
    problems: tuple[Problem, ...]


def key_of(document: Document) -> Key:
    """Kind, namespace and name; a ClusterIssuer has no namespace."""
    return (document.kind, layout.namespace_of(document.kind, document.namespace), document.name)


def read(text: str, *, source: str) -> Read:
    """Parse a file. If two documents have the same object, the first counts."""
    documents, invalid = parse_documents(text, source=source)
    objects: dict[Key, Document] = {}
    problems = [Problem(source=error.source or source, message=_message(error)) for error in invalid]
    broken = (
        dict(zip(_unread(text, documents), chain(problems, repeat(problems[-1])), strict=False))
        if problems
        else {}
    )
    for document in documents:
        key = key_of(document)
        if objects.setdefault(key, document) is not document:
            problems.append(
                Problem(
                    source=document.source,
                    message=f"{' '.join(key)} is in this file already; remove one of them",
                )
            )
    return Read(
        objects=objects,
        broken={key: why for key, why in broken.items() if key not in objects},
        problems=tuple(problems),
    )


class Edited:
    """A file's text whose documents are replaced, added and removed. The file is parsed once for any number
    of changes."""

    def __init__(self, text: str, *, source: str) -> None:
        self._pieces = _split(text)
        self._source = source
        self._filled = sum(not _is_empty(piece) for piece in self._pieces)
        self._places: dict[Key, int] = {}
        self._lists: set[int] = set()
        for place, piece in enumerate(self._pieces):
            keys = _keys_of(piece, source)
            if len(keys) > 1:
                self._lists.add(place)
            for key in keys:
                self._places.setdefault(key, place)

    def put(self, key: Key, document: str) -> None:
        """Replace this object's document, or add it at the end. Raises InvalidManifest if the object is in a
        List there."""
        new, place = _bare(document), self._place(key)
        if place is not None:
            self._pieces[place] = (
                new if place == 0 and not _BOUNDARY.match(self._pieces[0]) else f"---\n{new}"
            )
            return
        if not self._filled:
            self._pieces = []
        elif not self._pieces[-1].endswith("\n"):
            self._pieces[-1] += "\n"
        self._places[key] = len(self._pieces)
        self._pieces.append(f"---\n{new}" if self._filled else new)
        self._filled += 1

    def remove(self, key: Key) -> None:
        """Remove this object's document, if there is one. Raises InvalidManifest if the object is in a List
        there."""
        place = self._place(key)
        if place is not None:
            self._pieces[place] = ""

    @property
    def text(self) -> str:
        """Return the text after all changes; "" if no document is left."""
        return "".join(self._pieces) if any(not _is_empty(piece) for piece in self._pieces) else ""

    def _place(self, key: Key) -> int | None:
        place = self._places.get(key)
        if place in self._lists:
            raise InvalidManifest(
                f"{' '.join(key)} is one of a List here; change it in this file", source=self._source
            )
        return place


def with_document(text: str, key: Key, document: str, *, source: str) -> str:
    """Return the file's text with this object's document replaced, or added at the end. Raises
    InvalidManifest if the object is in a List there."""
    edited = Edited(text, source=source)
    edited.put(key, document)
    return edited.text


def without(text: str, key: Key, *, source: str) -> str:
    """Return the file's text without this object's document; "" if nothing is left. Raises InvalidManifest if
    the object is in a List there."""
    edited = Edited(text, source=source)
    edited.remove(key)
    return edited.text


def count(text: str) -> int:
    """Return the number of documents in a file, valid or not."""
    return sum(not _is_empty(piece) for piece in _split(text))


def _split(text: str) -> list[str]:
    """Split the text into documents with their `---` lines; joined, they are the text. No line inside a YAML
    document may begin with `---` (YAML 1.2, §9.1.2)."""
    starts = [match.start() for match in _BOUNDARY.finditer(text)]
    cuts = [0, *(start for start in starts if start > 0), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]


def _is_empty(piece: str) -> bool:
    return all(_EMPTY_LINE.fullmatch(line) for line in piece.splitlines())


def _bare(document: str) -> str:
    return re.sub(r"\A---[ \t]*\n", "", document.strip("\n")) + "\n"


def _keys_of(piece: str, source: str) -> list[Key]:
    """Return the keys of the objects in a document, as far as they can be read."""
    if _is_empty(piece):
        return []
    documents, _ = parse_documents(piece, source=source)
    guess = None if documents else _guess(piece)
    return [key_of(document) for document in documents] or ([guess] if guess is not None else [])


def _unread(text: str, documents: list[Document]) -> list[Key]:
    read_keys = {key_of(document) for document in documents}
    guesses = (_guess(piece) for piece in _split(text))
    return [guess for guess in guesses if guess is not None and guess not in read_keys]


def _guess(piece: str) -> Key | None:
    """Return the key of the object in a document that cannot be parsed, as far as single lines show it; None
    if they do not."""
    kind, metadata = _KIND.search(piece), _METADATA.search(piece)
    name = _FIELD["name"].search(metadata.group(1)) if metadata else None
    if not kind or not metadata or not name:
        return None
    namespace = _FIELD["namespace"].search(metadata.group(1))
    return (
        kind.group(1),
        layout.namespace_of(kind.group(1), namespace.group(1) if namespace else "default"),
        name.group(1),
    )


def _message(error: InvalidManifest) -> str:
    return ": ".join(part for part in (error.path, error.reason) if part)
