from __future__ import annotations

from http import HTTPStatus

import pytest

from certmill.http01.responder import _Answer, _path


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/.well-known/acme-challenge/abc", "/.well-known/acme-challenge/abc"),
        ("/.well-known/acme-challenge/abc?x=/y", "/.well-known/acme-challenge/abc"),
        ("http://example.com/healthz", "/healthz"),
        ("HTTP://example.com:80/a/b?c", "/a/b"),
        ("http://example.com", "/"),
        ("*", "*"),
    ],
)
def test_the_path_is_found_in_every_form_of_target(target, path):
    assert _path(target) == path


def test_an_answer_to_head_has_the_length_and_not_the_body():
    answer = _Answer(status=HTTPStatus.OK, body=b"token.thumbprint", head_only=True).encode()

    assert b"Content-Length: 16\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
