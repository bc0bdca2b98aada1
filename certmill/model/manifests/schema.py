"""The ground of the schemas: strict pydantic models in Kubernetes' spelling, metadata, and their errors as
one InvalidManifest with a path.

A schema says what shape a manifest may have; the rules between fields, and what certmill acts on, are in the
functions that make values. An optional field may be null, which is as good as leaving it out, as in
Kubernetes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from certmill.errors import InvalidManifest
from certmill.model.durations import parse_duration
from certmill.model.identifiers import (
    annotation_pairs,
    field_path,
    label_pairs,
    line,
    namespace_name,
    object_name,
    secret_key,
)
from certmill.model.spelling import did_you_mean


def _duration(value: object) -> timedelta:
    if not isinstance(value, str):
        raise ValueError('must be a duration as a string, such as "2160h"')
    return parse_duration(value)


def none_if_empty(value: object) -> object:
    """An empty text is as good as none."""
    return None if value == "" else value


def _none_if_unnamed(value: object) -> object:
    """Go's clients write an optional reference that is not set as one with an empty name."""
    return (
        None
        if isinstance(value, dict) and value.get("name") == "" and value.keys() <= {"name", "key"}
        else value
    )


Line = Annotated[str, AfterValidator(line)]
ObjectName = Annotated[str, AfterValidator(object_name)]
NamespaceName = Annotated[str, AfterValidator(namespace_name)]
SecretKey = Annotated[str, AfterValidator(secret_key)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Labels = Annotated[dict[str, str], AfterValidator(label_pairs)]
Annotations = Annotated[dict[str, str], AfterValidator(annotation_pairs)]

_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a known field here",
    "invalid_key": "is not a known field here",
    "string_type": "must be a string; quote it",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
}


class Schema(BaseModel):
    """What a mapping in a manifest may hold: these fields, in camelCase, of exactly these types, and no
    others.

    Its validator is built at the first use: a command that reads Certificates does not wait for those of all
    the DNS providers."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
        defer_build=True,
    )


class Metadata(Schema):
    """metadata. What only the API server or other programs make use of is accepted and dropped."""

    generate_name: object = None
    name: ObjectName
    namespace: NamespaceName | None = None
    labels: Labels | None = None
    annotations: Annotations | None = None
    uid: str | None = None
    resource_version: object = None
    generation: object = None
    creation_timestamp: object = None
    deletion_timestamp: object = None
    deletion_grace_period_seconds: object = None
    managed_fields: object = None
    owner_references: object = None
    finalizers: object = None
    self_link: object = None


class SecretKeySelector(Schema):
    """A key of a Secret."""

    name: ObjectName
    key: SecretKey


OptionalSecretKeySelector = Annotated[SecretKeySelector | None, BeforeValidator(_none_if_unnamed)]

_Model = TypeVar("_Model", bound=Schema)

_building = threading.Lock()
"""One thread builds a validator at its first use: pydantic's own build was not safe among threads in the
oldest release that we take."""


def validated(schema: type[_Model], body: object) -> _Model:
    """Read `body` by a schema. Raises InvalidManifest for the first wrong field; an unknown one comes first,
    as it may be mistyped."""
    with _building:
        schema.model_rebuild()  # returns at once if it is built
    try:
        return schema.model_validate(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
    first = next((one for one in wrong if one["type"] == "extra_forbidden"), wrong[0])
    kind, context = first["type"], first.get("ctx", {})
    if kind == "value_error":
        message = str(context["error"])
    elif kind == "literal_error":
        message = f"must be {context['expected']}"
    else:
        message = _MESSAGES.get(kind, "is not valid") + (
            _meant(schema, first["loc"]) if kind == "extra_forbidden" else ""
        )
    raise InvalidManifest(message, path=field_path(part for part in first["loc"] if part != "[key]"))


def _meant(schema: type[Schema], location: Sequence[str | int]) -> str:
    """`; did you mean dnsNames?` for the unknown field at this place, if one is near it there."""
    here: type[Schema] | None = schema
    for part in location[:-1]:
        if here is None or isinstance(part, int):
            continue
        field = next((field for field in here.model_fields.values() if field.alias == part), None)
        here = next(_schemas_in(field.annotation), None) if field is not None else None
    known = [field.alias or name for name, field in here.model_fields.items()] if here is not None else []
    return did_you_mean(str(location[-1]), known)


def _schemas_in(annotation: object) -> Iterator[type[Schema]]:
    """The schemas in a field's type: of `Annotated[list[X] | None, …]` it is X."""
    if isinstance(annotation, type) and issubclass(annotation, Schema):
        yield annotation
    for part in get_args(annotation):
        yield from _schemas_in(part)


def refuse_if(wrong: bool, message: str, path: str) -> None:
    """Raise InvalidManifest if this is wrong."""
    if wrong:
        raise InvalidManifest(message, path=path)


def not_acted_on(path: str, *, instead: str) -> InvalidManifest:
    """The refusal of a field that is valid, but which certmill would have to ignore."""
    return InvalidManifest(f"certmill does not act on this yet; {instead}", path=path)
