"""Runs Boulder's own rate limiter, with the limits of Let's Encrypt and a clock that the caller sets. Pebble
enforces no limits. The program is built once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self, cast

from compose.servers import ServerFailed
from compose.servers.build import go_build

_STOP_SECONDS = 5.0


class Event(StrEnum):
    """What happens at the CA. `KNOWN`: a certificate for these names was issued then, at no cost."""

    ORDER = "order"
    REFUND = "refund"
    ISSUE = "issue"
    FAIL = "fail"
    VALID = "valid"
    KNOWN = "known"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaRequest:
    """An event of an account (a number) and a set of DNS names, at a time in seconds since the epoch. `ari`:
    the order replaces a certificate, and now is inside its ARI window."""

    at: float
    event: Event
    names: Sequence[str]
    account: int = 1
    ari: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """The answer 429: Boulder's text, and the seconds of Retry-After (0: none)."""

    text: str
    retry_after: float


def find_boulder_limits() -> Path:
    """The path of the program; builds it if necessary. Raises MissingServer."""
    return go_build(Path(__file__).resolve().parent / "go" / "boulder-limits")


class BoulderLimits:
    """A running limiter with full buckets. As a context manager it runs inside the `with` block. Every method
    raises ServerFailed if the program ends."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [find_boulder_limits()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def ask(self, requests: Iterable[CaRequest]) -> list[Limited | None]:
        """The answer to each request, in order; None: it is within the limits. The CA's clock never goes
        back, so a request for an earlier time happens now."""
        sent = [
            {
                "at": one.at,
                "do": one.event.value,
                "account": one.account,
                "names": [*one.names],
                "ari": one.ari,
            }
            for one in requests
        ]
        if not sent:
            return []
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(sent).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise ServerFailed(f"boulder-limits ended by itself: {self._said()}")
        return [_limited(answer) for answer in cast("list[dict[str, object]]", json.loads(line))]

    def _said(self) -> str:
        assert self._process.stderr is not None
        return self._process.stderr.read().decode(errors="replace").strip()[-800:]


def _limited(answer: dict[str, object]) -> Limited | None:
    if not answer:
        return None
    return Limited(text=str(answer["limited"]), retry_after=float(str(answer.get("retry_after", 0.0))))
