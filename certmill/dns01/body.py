"""The body of an HTTP answer, bounded in size and in time: a trickle does not buy the other side more of either."""

from __future__ import annotations

import threading
import time

import requests
import urllib3

_CHUNK_BYTES = 65_536


class TooMuch(Exception):
    """A body is larger, or takes longer, than it may."""


class ThreadSession(threading.local):
    """A requests.Session for each thread: its connections are kept, and nothing is shared."""

    def __init__(self) -> None:
        self.session = requests.Session()


def read_body(response: requests.Response, *, max_bytes: int, timeout_seconds: float) -> bytes:
    """The whole decoded body of a streamed response. Raises TooMuch, or what requests and urllib3 raise."""
    raw: urllib3.HTTPResponse = response.raw
    deadline = time.monotonic() + timeout_seconds
    content = bytearray()
    while chunk := raw.read1(_CHUNK_BYTES, decode_content=True):
        content += chunk
        if len(content) > max_bytes or time.monotonic() > deadline:
            response.close()
            raise TooMuch
    return bytes(content)
