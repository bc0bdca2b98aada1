"""The exit codes of the command, and the error class of each. An error is one line on stderr. `--help` prints
MEANINGS."""

from __future__ import annotations

import sys
from contextlib import suppress
from enum import IntEnum

from certmill.errors import (
    CertmillError,
    HomeUnavailable,
    InvalidManifest,
    NotFound,
    OtherInstallation,
    StateUnavailable,
)


class ExitCode(IntEnum):
    """The exit codes that a script can test."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_READY = 4
    UNREACHABLE = 5
    READER_GONE = 141
    """128 + 13: the code that a shell reports for a process that SIGPIPE ended."""


MEANINGS = {
    ExitCode.OK: "success",
    ExitCode.FAILED: "an issuance failed, or a document or a request was refused",
    ExitCode.USAGE: "the command line or a setting is wrong",
    ExitCode.NOT_FOUND: "the object does not exist",
    ExitCode.NOT_READY: "not ready when --timeout ended, or at --check",
    ExitCode.UNREACHABLE: "Redis or the home cannot be reached",
    ExitCode.READER_GONE: "the program that reads the output has ended (| head)",
}


def code_of(error: CertmillError) -> ExitCode:
    """The exit code for an error."""
    if isinstance(error, NotFound):
        return ExitCode.NOT_FOUND
    if isinstance(error, StateUnavailable | HomeUnavailable):
        return ExitCode.UNREACHABLE
    if isinstance(error, OtherInstallation) or (
        isinstance(error, InvalidManifest) and error.path.startswith(("CERTMILL_", "--"))
    ):
        return ExitCode.USAGE
    return ExitCode.FAILED


def print_message(message: str, *, prefix: str = "error") -> None:
    """Print one line on stderr. If stderr cannot be written, only the exit code reports the error."""
    with suppress(OSError):
        print(f"{prefix}: {shown(message)}", file=sys.stderr, flush=True)


def shown(text: str) -> str:
    """`text` on one line without control characters, so that text from other systems cannot control the
    terminal."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)
