"""The codec of persisted values: what older and newer releases wrote is read, and what cannot be read is told
apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pytest

from certmill.errors import DamagedValue, NewerRelease
from certmill.model.persisted import JSON_NAME, Codec


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    size: int
    colour: Colour = Colour.RED
    unknown: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    name: str
    at: float | None = None
    is_done: bool = False
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    main: Part | None = None
    unknown: Mapping[str, object] = field(default_factory=dict)


CODEC, LENIENT = Codec(Whole), Codec(Whole, lenient=True)
PARTS = (Part(size=1), Part(size=2, colour=Colour.BLUE))
FULL = Whole(name="n", at=1.5, is_done=True, tags=("a",), labels={"b": "c"}, parts=PARTS, main=Part(size=3))


@pytest.mark.parametrize("value", [Whole(name="n"), FULL])
def test_a_value_comes_back_as_it_was(value):
    assert CODEC.load(CODEC.dump(value)) == value


def test_what_is_missing_has_its_default_and_a_default_is_not_written():
    assert CODEC.load('{"name":"n"}') == Whole(name="n")
    assert CODEC.dump(Whole(name="n")) == '{"name":"n"}'


def test_what_a_newer_release_added_is_kept_at_every_depth():
    text = '{"later":[1],"name":"n","parts":[{"later":{"a":1},"size":1}]}'

    assert CODEC.dump(CODEC.load(text)) == text


def test_an_unknown_field_is_ignored_where_no_place_is_kept_for_it():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Small:
        name: str

    assert Codec(Small).load('{"name":"n","later":1}') == Small(name="n")


def test_an_unknown_member_of_an_enum_is_its_first():
    assert CODEC.load('{"name":"n","main":{"size":1,"colour":"green"}}').main == Part(
        size=1, colour=Colour.RED
    )


@pytest.mark.parametrize("codec", [CODEC, LENIENT])
def test_a_later_version_is_not_read_and_not_written_over(codec):
    for call in (codec.load, codec.unknown):
        with pytest.raises(NewerRelease, match="version 2"):
            call('{"v":2,"name":"n"}')


def test_a_codec_reads_its_own_version_and_earlier_ones():
    later = Codec(Whole, version=2)

    assert later.dump(Whole(name="n")) == '{"v":2,"name":"n"}'
    assert later.load(later.dump(FULL)) == later.load(CODEC.dump(FULL)) == FULL


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        "{}",
        '{"name":7}',
        '{"name":"n","at":true}',
        '{"name":"n","at":1e300}',
        '{"name":"n","at":-Infinity}',
        '{"name":"n","at":NaN}',
        f'{{"name":"n","at":1{"0" * 400}}}',
        '{"name":"n","at":253402300800}',
        '{"name":"n","tags":"a"}',
        '{"name":"n","parts":[7]}',
        '{"name":"n","parts":[{"size":true}]}',
    ],
)
def test_what_no_release_writes_is_damaged_and_for_a_lenient_codec_missing(text):
    with pytest.raises(DamagedValue):
        CODEC.load(text)
    assert LENIENT.load(text) == Whole(name="n" if '"n"' in text else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    size: int = field(metadata={JSON_NAME: "n"})
    inner: Renamed | None = None
    unknown: Mapping[str, object] = field(default_factory=dict)


def test_a_field_may_have_another_name_in_json_at_every_depth():
    codec, text = Codec(Renamed), '{"inner":{"n":2,"size":3},"n":1,"x":2}'
    value = Renamed(size=1, inner=Renamed(size=2, unknown={"size": 3}), unknown={"x": 2})

    assert codec.load(text) == value
    assert codec.load(codec.dump(value)) == value
    assert codec.dump(Renamed(size=1)) == '{"n":1}'
    assert codec.unknown(text) == {"x": 2}
    with pytest.raises(DamagedValue, match="n: is not of the type int"):
        codec.load('{"n":"1"}')
