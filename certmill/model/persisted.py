"""Reads and writes values that outlive a process: each is one JSON object that older and newer releases can
read (docs/redis.md).

An older or a newer release may have written a value. A field that this release does not know is preserved if
the value has a field `unknown`, otherwise it is ignored. A missing field has its default. An unknown member
of an enum is read as the enum's first member. A release that changes the meaning of a field raises the
version `v`: an older release then does not read the value (NewerRelease) and leaves it to a newer process."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from functools import cache, partial
from typing import Any, Final, Generic, TypeVar

from certmill.errors import DamagedValue, NewerRelease
from certmill.model.instants import is_instant

VERSION: Final = "v"
"""The field with the version. Version 1 is not written, because the releases before this codec reject a field
that they do not know."""

UNKNOWN: Final = "unknown"
"""The field of a dataclass that preserves what a newer release wrote."""

PERSISTED: Final = "persisted"
"""A key of a dataclass field's metadata. A field that has it with the value False is neither written nor
read."""

JSON_NAME: Final = "json_name"
"""A key of a dataclass field's metadata: the name that the field has in JSON. A field that gets a better name
keeps its former one in JSON, because other releases read and write that."""

_Value = TypeVar("_Value")
_Reader = Callable[[object], Any]

_ZERO: Mapping[object, object] = {str: "", bool: False, int: 0, float: 0.0}
_JSON_TYPES: Final = frozenset({str, bool, int, float, types.NoneType})
"""The types of most fields: json.dumps takes them as they are. An Enum is a type of its own."""


class _Wrong(ValueError):
    """A JSON value does not have the type of its field."""


class Codec(Generic[_Value]):
    """Writes and reads the values of one frozen dataclass.

    `lenient` (for files that people may edit): a field of the wrong type is read as missing, and a text that
    is not a JSON object is read as an empty one."""

    def __init__(self, kind: type[_Value], *, version: int = 1, lenient: bool = False) -> None:
        self._kind = kind
        self._version = version
        self._lenient = lenient

    def dump(self, value: _Value, *, unknown: Mapping[str, object] | None = None) -> str:
        """Compact JSON of the fields that differ from their defaults, and of the fields of a newer release
        (`unknown`: see the method `unknown`)."""
        content = {**(unknown or {}), **_written(value)}
        if self._version > 1:
            content = {VERSION: self._version, **content}
        return json.dumps(content, separators=(",", ":"))

    def load(self, text: str | bytes) -> _Value:
        """Parse a value. Raises NewerRelease for a later version, DamagedValue for a text that no release
        writes."""
        content = self._object(text)
        try:
            found: _Value = _read(self._kind, content, self._lenient)
        except _Wrong as error:
            raise DamagedValue(f"{self._kind.__name__} is damaged: {error}") from None
        return found

    def unknown(self, text: str | bytes) -> dict[str, object]:
        """The fields that this release does not know, so that a writer can preserve them beside its own; {}
        if the text is damaged. Raises NewerRelease: this release must not write over that value."""
        try:
            content = self._object(text)
        except DamagedValue:
            return {}
        return {name: value for name, value in content.items() if name not in _shape(self._kind)}

    def _object(self, text: str | bytes) -> dict[str, object]:
        try:
            content: object = json.loads(text)
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict):
            self._require_version(content.pop(VERSION, 1))
            return content
        if self._lenient:
            return {}
        raise DamagedValue(f"{self._kind.__name__} is damaged: it is not a JSON object")

    def _require_version(self, version: object) -> None:
        if isinstance(version, int) and version > self._version:
            raise NewerRelease(
                f"a newer release of certmill wrote this ({self._kind.__name__}, version {version}; this "
                "one reads version "
                f"{self._version}): run that release"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """How a field is read, its value if it is missing, and its name in the dataclass."""

    attribute: str
    read: _Reader
    default: Callable[[], object] | None
    omitted: object
    """The value that is not written: the default."""
    zero: object

    def missing(self, name: str, *, lenient: bool) -> object:
        if self.default is not None:
            return self.default()
        if lenient:
            return self.zero
        raise _Wrong(f"{name} is missing")


def _written(value: object) -> dict[str, object]:
    """The fields that differ from their defaults, by name. It runs twice in each step; dataclasses.asdict
    makes deep copies and took 3 ms for each Certificate."""
    content: dict[str, object] = dict(getattr(value, UNKNOWN, None) or {})
    for name, field in _shape(type(value)).items():
        part = getattr(value, field.attribute)
        if part is not field.omitted and part != field.omitted:
            content[name] = part if type(part) in _JSON_TYPES else _plain(part)
    return content


def _plain(part: object) -> object:
    if hasattr(part, "__dataclass_fields__"):
        return _written(part)
    if isinstance(part, tuple):
        return [item if type(item) in _JSON_TYPES else _plain(item) for item in part]
    return dict(part) if isinstance(part, Mapping) else part


def _read(kind: type[_Value], content: Mapping[str, object], lenient: bool) -> _Value:
    shape, values = _shape(kind), dict[str, object]()
    for name, field in shape.items():
        try:
            values[field.attribute] = (
                field.read(content[name]) if name in content else field.missing(name, lenient=lenient)
            )
        except _Wrong as error:
            if not lenient:
                raise _Wrong(f"{name}: {error}" if name in content else str(error)) from None
            values[field.attribute] = field.missing(name, lenient=True)
    if UNKNOWN in kind.__dataclass_fields__:  # type: ignore[attr-defined]
        values[UNKNOWN] = {name: value for name, value in content.items() if name not in shape}
    return kind(**values)


def _shape(kind: object) -> Mapping[str, _Field]:
    """The persisted fields of a dataclass, by their names in JSON, without `unknown`."""
    assert isinstance(kind, type)
    return _shape_of(kind)


@cache
def _shape_of(kind: Any) -> Mapping[str, _Field]:  # noqa: ANN401 - fields() and get_type_hints() take no type that mypy knows
    hints = typing.get_type_hints(kind)
    found = {}
    for field in fields(kind):
        if field.name == UNKNOWN or not field.metadata.get(PERSISTED, True):
            continue
        default: Callable[[], object] | None = None
        if field.default is not MISSING:
            default = partial(_same, field.default)
        elif field.default_factory is not MISSING:
            default = field.default_factory
        found[field.metadata.get(JSON_NAME, field.name)] = _Field(
            attribute=field.name,
            read=_reader(hints[field.name]),
            default=default,
            omitted=MISSING if default is None else default(),
            zero=_ZERO.get(hints[field.name], ""),
        )
    return found


def _same(value: object) -> object:
    return value


def _reader(hint: object) -> _Reader:
    """The function that reads a value of this type, or raises _Wrong."""
    hint = getattr(hint, "__supertype__", hint)  # NewType
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        inner = _reader(next(one for one in arguments if one is not types.NoneType))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        return _tuple_reader(_reader(arguments[0]))
    if origin is not None:
        return _mapping
    assert isinstance(hint, type)
    kind = hint
    if hasattr(kind, "__dataclass_fields__"):
        return lambda value: _read(kind, _mapping(value), False)
    if issubclass(kind, Enum):
        return lambda value: _member(kind, value)
    return lambda value: _scalar(kind, value)


def _tuple_reader(inner: _Reader) -> _Reader:
    def read(value: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise _Wrong("is not a list")
        return tuple(inner(item) for item in value)

    return read


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _Wrong("is not an object")
    return value


def _member(kind: type[Enum], value: object) -> Enum:
    return next((member for member in kind if member.value == value), next(iter(kind)))


def _scalar(kind: type, value: object) -> object:
    if kind is float:
        return _time(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise _Wrong(f"is not of the type {kind.__name__}")
    return value


def _time(value: object) -> float:
    """A float is always a time or a number of seconds: one that no datetime can have is damaged."""
    if not isinstance(value, float | int) or isinstance(value, bool):
        raise _Wrong("is not of the type float")
    if not is_instant(value):
        raise _Wrong("is not a time")
    return float(value)
