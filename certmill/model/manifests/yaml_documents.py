"""Read and write YAML of manifests: the subset that Kubernetes reads.

Values are built from the parser's events with a stack, so depth and aliases have a limit; tags create no
objects. Documents are split at `---` first, so an invalid one does not affect the next. Messages contain line
numbers and never content, because it may be a Secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import yaml

from certmill.errors import InvalidManifest
from certmill.model.identifiers import field_path

MAX_MANIFEST_BYTES = 1024 * 1024
"""A larger input is refused."""

_MAX_DOCUMENTS = 10_000
_MAX_DEPTH = 64
_MAX_EXPANDED = 4 * MAX_MANIFEST_BYTES

_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SafeDumper: type = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|$)", re.MULTILINE)
_HARMLESS = re.compile(r"(?:[A-Za-z ,-]|'[^A-Za-z0-9]{1,2}'|<[a-z -]+>)+")

_CORE = "tag:yaml.org,2002:"
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})
_FALSE = frozenset({"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"[-+]?[0-9]{1,32}\.[0-9]{0,32}(?:[eE][-+][0-9]{1,3})?")
_MERGE = "<<"
_TYPE_OF_TAG: dict[str, type] = {
    f"{_CORE}null": type(None),
    f"{_CORE}bool": bool,
    f"{_CORE}int": int,
    f"{_CORE}float": float,
}
_WRONG_TAG = "has a YAML tag that is not allowed here; quote the value if it begins with '!'"


def read_documents(text: str | bytes) -> list[object]:
    """All documents that are not empty, as dicts, lists, strings, numbers, booleans and None. An invalid
    document is returned as an InvalidManifest.

    Raises InvalidManifest if the whole input is wrong: its size, its encoding, too many documents."""
    budget = _Budget()
    found: list[object] = []
    for number, (first_line, chunk) in enumerate(_chunks(_decoded(text))):
        if number > _MAX_DOCUMENTS:
            raise InvalidManifest(f"has more than {_MAX_DOCUMENTS} documents; split it")
        try:
            found += (
                document for document in _Builder(budget, first_line).documents(chunk) if document is not None
            )
        except InvalidManifest as error:
            found.append(error)
        except yaml.MarkedYAMLError as error:
            found.append(InvalidManifest(_invalid(error, first_line)))
        except yaml.YAMLError:
            found.append(InvalidManifest("is not valid YAML: it holds a character that YAML does not allow"))
    return found


def _decoded(text: str | bytes) -> str:
    if len(text) > MAX_MANIFEST_BYTES:
        raise InvalidManifest(f"is larger than {MAX_MANIFEST_BYTES} bytes; split it")
    try:
        content = text.encode() if isinstance(text, str) else text
        decoded = content.decode("utf-8-sig")
    except UnicodeError:
        raise InvalidManifest("is not UTF-8 text") from None
    if len(content) > MAX_MANIFEST_BYTES:
        raise InvalidManifest(f"is larger than {MAX_MANIFEST_BYTES} bytes; split it")
    return decoded


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """(number of lines before it, document). A line that begins with `---` is always a separator, even inside
    quotes (YAML 1.2.2 §9.1.2)."""
    begin = lines = 0
    has_directives = False
    for separator in _SEPARATOR.finditer(text):
        chunk = text[begin : separator.start()]
        if (
            not has_directives
            and "%" in chunk
            and all(line[:1] in ("", "#", "%") for line in chunk.splitlines())
        ):
            has_directives = True
            continue
        yield lines, chunk
        lines += chunk.count("\n")
        begin, has_directives = separator.start(), False
    yield lines, text[begin:]


def _invalid(error: yaml.MarkedYAMLError, first_line: int) -> str:
    mark = error.problem_mark or error.context_mark
    where = f" (line {first_line + mark.line + 1})" if mark else ""
    problem = error.problem if error.problem and _HARMLESS.fullmatch(error.problem) else ""
    return f"is not valid YAML{where}" + (f": {problem}" if problem else "")


class _Budget:
    """The size limit for all documents of one input with expanded aliases: characters, plus one for each
    node."""

    def __init__(self) -> None:
        self.spent = 0

    def spend(self, amount: int) -> None:
        self.spent += amount
        if self.spent > _MAX_EXPANDED:
            raise InvalidManifest("grows too large when its aliases are expanded; write it without aliases")


class _Open:
    """A mapping or list that is being read."""

    __slots__ = ("anchor", "into", "key", "merges", "spent_before")

    def __init__(self, into: dict[str, object] | list[object], anchor: str | None, spent_before: int) -> None:
        self.into = into
        self.anchor = anchor
        self.spent_before = spent_before
        self.key: str | None = None
        self.merges: list[dict[str, object]] | None = None


class _Builder:
    """Builds the documents of one chunk from events."""

    def __init__(self, budget: _Budget, first_line: int) -> None:
        self._budget = budget
        self._first_line = first_line
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[object, int]] = {}
        self._root: object = None

    def documents(self, chunk: str) -> Iterator[object]:
        """Raises InvalidManifest, yaml.YAMLError."""
        for event in yaml.parse(chunk, Loader=_Loader):
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._begin(event)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._end()
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.DocumentStartEvent):
                self._anchors, self._root = {}, None
            elif isinstance(event, yaml.DocumentEndEvent):
                yield self._root

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._budget.spend(1 + len(event.value))
        if self._wants_key():
            self._take_key(event)
            return
        value = self._resolved(event)
        if event.anchor:
            self._anchors[event.anchor] = value, 1 + len(event.value)
        self._place(value)

    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].into, dict) and self._open[-1].key is None

    def _take_key(self, event: yaml.ScalarEvent) -> None:
        """A key is always text, as in JSON: `1:` is the key "1"."""
        top = self._open[-1]
        if event.value in top.into or (event.value == _MERGE and top.merges is not None):
            top.key = event.value
            raise self._wrong("is there twice", event)
        if event.value == _MERGE and event.implicit[0]:
            top.merges = []
        top.key = event.value

    def _resolved(self, event: yaml.ScalarEvent) -> object:
        if event.tag is None or event.tag == "!":
            return plain_scalar(event.value) if event.implicit[0] else event.value
        if event.tag == f"{_CORE}str":
            return event.value
        value = plain_scalar(event.value)
        if type(value) is not _TYPE_OF_TAG.get(event.tag):
            raise self._wrong(_WRONG_TAG, event)
        return value

    def _begin(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if self._wants_key():
            raise self._wrong("has a key that is not text", event)
        if event.tag not in (None, "!", f"{_CORE}{'map' if is_mapping else 'seq'}"):
            raise self._wrong(_WRONG_TAG, event)
        if len(self._open) >= _MAX_DEPTH:
            raise InvalidManifest(f"is nested deeper than {_MAX_DEPTH} levels{self._at(event)}")
        self._open.append(_Open({} if is_mapping else [], event.anchor, self._budget.spent))
        self._budget.spend(1)

    def _end(self) -> None:
        done = self._open.pop()
        if isinstance(done.into, dict):
            for merged in done.merges or ():
                self._budget.spend(len(merged))
                done.into.update({key: value for key, value in merged.items() if key not in done.into})
        if done.anchor:
            self._anchors[done.anchor] = done.into, self._budget.spent - done.spent_before
        self._place(done.into)

    def _alias(self, event: yaml.AliasEvent) -> None:
        if self._wants_key():
            raise self._wrong("has a key that is not text", event)
        if event.anchor not in self._anchors:
            raise self._wrong(
                "has an alias without an anchor before it; quote the value if it begins with '*'", event
            )
        value, size = self._anchors[event.anchor]
        self._budget.spend(size)
        self._place(value)

    def _place(self, value: object) -> None:
        if not self._open:
            self._root = value
            return
        top = self._open[-1]
        if isinstance(top.into, list):
            top.into.append(value)
            return
        assert top.key is not None
        if top.key == _MERGE and top.merges is not None:
            self._merge(top.merges, value)
        else:
            top.into[top.key] = value
        top.key = None

    def _merge(self, merges: list[dict[str, object]], value: object) -> None:
        wanted = value if isinstance(value, list) else [value]
        for one in wanted:
            if not isinstance(one, dict):
                raise InvalidManifest("'<<' must merge a mapping, or a list of mappings", path=self._path())
            merges.append(one)

    def _wrong(self, message: str, event: yaml.Event) -> InvalidManifest:
        return InvalidManifest(message + self._at(event), path=self._path())

    def _at(self, event: yaml.Event) -> str:
        return f" (line {self._first_line + event.start_mark.line + 1})" if event.start_mark else ""

    def _path(self) -> str:
        return field_path(len(one.into) if isinstance(one.into, list) else one.key for one in self._open)


def plain_scalar(text: str) -> object:
    """The value of an unquoted scalar: null, a boolean, a decimal number, or text. A time is text, as in
    kubectl."""
    first = text[:1]
    if first.isalpha() or not first or first == "~":
        if text in _NULLS:
            return None
        return True if text in _TRUE else False if text in _FALSE else text
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


class _Dumper(_SafeDumper):  # type: ignore[misc]  # its class is chosen above
    """Writes shared values repeatedly instead of anchors; accepts str enums and any mapping."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


_Dumper.add_multi_representer(str, lambda dumper, text: dumper.represent_str(str(text)))
_Dumper.add_multi_representer(Mapping, lambda dumper, pairs: dumper.represent_dict(dict(pairs)))


def dump_yaml(value: object) -> str:
    """Write a document as YAML; keys keep their order."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=120
    )
    return text
