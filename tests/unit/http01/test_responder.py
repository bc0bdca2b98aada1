from __future__ import annotations

from http import HTTPStatus

from certmill.http01.responder import _Answer


def test_an_answer_to_head_has_the_length_and_not_the_body():
    answer = _Answer(status=HTTPStatus.OK, body=b"token.thumbprint", head_only=True).encode()

    assert b"Content-Length: 16\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
