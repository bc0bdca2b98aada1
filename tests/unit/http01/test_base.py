from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.http01.base import is_token

BASE64URL = string.ascii_letters + string.digits + "-_"


@given(st.text(alphabet=BASE64URL, min_size=1, max_size=128))
def test_base64url_of_a_sensible_length_is_a_token(text):
    assert is_token(text)


@given(st.text(min_size=1, max_size=40).filter(lambda text: set(text) - set(BASE64URL)))
def test_any_other_character_makes_it_no_token(text):
    assert not is_token(text)


@pytest.mark.parametrize("text", ["", "a" * 129, "../secrets", "token\n", "a/b", "%2e%2e", "a b", "é"])
def test_what_could_become_a_path_or_a_key_of_its_own_is_no_token(text):
    assert not is_token(text)
