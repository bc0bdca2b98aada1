from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.http.transport import USER_AGENT, url_mistake


@pytest.mark.parametrize(
    "url",
    [
        "https://ca.example/dir",
        "https://ca.example:14000/dir?a=b",
        "http://127.0.0.1:4001/dir",
        "https://[::1]:14000/dir",
    ],
)
def test_a_url_is_one(url):
    assert url_mistake(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ca.example",
        "file:///etc/passwd",
        "ftp://ca.example/",
        "https://",
        "https:///dir",
        "https://user@ca.example/",
        "https://ca.example@evil.example/",
        "https://ca.example/#x",
        "https://ca.example:99999/",
        "https://ca.example/a b",
        "https://ca.example/a\r\nHost: evil",
        "https://exämple.com/",
        "https://[::1/",
        "https://ca.example/" + "a" * 3000,
        "//ca.example/",
    ],
)
def test_what_no_request_may_go_to_is_said(url):
    assert url_mistake(url)


@given(st.text(max_size=50))
def test_no_text_breaks_it(text):
    assert isinstance(url_mistake(text), str)
    assert isinstance(url_mistake(f"https://{text}"), str)


def test_we_say_who_we_are():
    """RFC 8555 §6.1."""
    assert USER_AGENT.startswith("certmill/")
    assert "urllib3/" in USER_AGENT
