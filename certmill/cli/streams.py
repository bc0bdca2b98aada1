"""Guards the standard streams of one call: the command ends with one line if the reader has ended, the disk
is full or a stream is closed.

Python writes its buffered output when the process ends, and prints a traceback if that fails. This module
therefore writes the output before the exit code is chosen.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

from certmill.cli.exit_codes import ExitCode, print_message


class OutputLost(Exception):
    """Standard output cannot be written. `reader_gone`: the reader has closed it, as `| head` does."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause.strerror or str(cause))
        self.reader_gone = cause.errno == errno.EPIPE


class _Output:
    """A stream whose failures raise OutputLost. An OSError could be confused with an error of the home or of
    the network."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write `text`. Raises OutputLost."""
        with _exit_if_lost():
            return self._stream.write(text)

    def flush(self) -> None:
        """Flush the stream. Raises OutputLost."""
        with _exit_if_lost():
            self._stream.flush()


def run(command: Callable[[], int]) -> int:
    """Run `command`, and write all that it printed. Returns its exit code, or READER_GONE or FAILED if the
    output could not be written."""
    before = sys.stdout, sys.stderr
    nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - a stream, closed below
    output = _Output(before[0] or nowhere)
    sys.stdout, sys.stderr = (
        cast("TextIO", output),
        before[1] or nowhere,
    )  # a stream that was closed (`>&-`) is None
    try:
        code = command()
        output.flush()
    except OutputLost as lost:
        _drop(before[0])
        if lost.reader_gone:
            return ExitCode.READER_GONE
        print_message(f"cannot write to standard output: {lost}")
        return ExitCode.FAILED
    finally:
        sys.stdout, sys.stderr = before
        nowhere.close()
    return code


@contextmanager
def _exit_if_lost() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputLost(error) from None


def _drop(stream: TextIO) -> None:
    """Discard the buffered output. Otherwise the interpreter would try to write it again when the process
    ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
