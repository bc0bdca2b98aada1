from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.crypto import seal
from certmill.crypto.seal import Seal
from certmill.errors import InvalidManifest, SecretUnusable

OLD, NEW = b"o" * 32, b"n" * 32


@given(st.binary(max_size=5000), st.text(max_size=60))
def test_what_is_sealed_opens_to_the_same(plaintext, context):
    assert Seal([NEW]).open(Seal([NEW]).seal(plaintext, context=context), context=context) == plaintext


def test_it_opens_for_no_other_certificate():
    sealed = Seal([NEW]).seal(b"key", context="default/web")

    with pytest.raises(SecretUnusable, match="default/other"):
        Seal([NEW]).open(sealed, context="default/other")


def test_the_first_key_seals_and_any_opens():
    sealed_before = Seal([OLD]).seal(b"key", context="a")
    rotated = Seal([NEW, OLD])

    assert rotated.open(sealed_before, context="a") == b"key"
    assert Seal([NEW]).open(rotated.seal(b"key", context="a"), context="a") == b"key"


def test_a_key_that_was_taken_out_opens_nothing():
    with pytest.raises(SecretUnusable, match="CERTMILL_SEAL_KEYS"):
        Seal([NEW]).open(Seal([OLD]).seal(b"key", context="a"), context="a")


def test_the_same_is_never_sealed_alike():
    assert Seal([NEW]).seal(b"key", context="a") != Seal([NEW]).seal(b"key", context="a")


def test_sealed_text_is_versioned_and_shows_nothing():
    sealed = Seal([NEW]).seal(b"-----BEGIN PRIVATE KEY-----", context="a")

    assert sealed.startswith("1.")
    assert "BEGIN" not in sealed
    assert b"BEGIN" not in base64.urlsafe_b64decode(sealed[2:])


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_one_changed_character_is_noticed(at, character):
    sealed = Seal([NEW]).seal(b"0123456789", context="a")
    at %= len(sealed)
    changed = sealed[:at] + character + sealed[at + 1 :]

    if changed != sealed:
        with pytest.raises(SecretUnusable):
            Seal([NEW]).open(changed, context="a")


@pytest.mark.parametrize("sealed", ["", "1", "1.", "2.AAAA", "1.AAAA", "1.ä", "1." + "A" * 2_000_000])
def test_what_was_never_sealed_is_refused(sealed):
    with pytest.raises(SecretUnusable):
        Seal([NEW]).open(sealed, context="a")


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, b""]])
def test_keys_of_another_length_are_refused_by_the_setting_that_holds_them(keys):
    with pytest.raises(InvalidManifest) as caught:
        Seal(keys)

    assert caught.value.path == "CERTMILL_SEAL_KEYS"


def test_no_key_shows_in_a_repr():
    assert "nnnn" not in repr(Seal([NEW]))


def test_a_new_key_fits():
    first, second = seal.new_key(), seal.new_key()

    assert first != second
    Seal([base64.b64decode(first, validate=True), base64.b64decode(second, validate=True)])
