"""Asks a question on the terminal before a command does what cannot be undone."""

from __future__ import annotations

import sys

from certmill.cli.exit_codes import shown
from certmill.errors import InvalidManifest


def confirm(question: str) -> bool:
    """Ask on stderr, and read the answer from stdin. True for `y` or `yes`.

    Raises InvalidManifest for --yes if stdin is not a terminal: a script must say that it is sure."""
    if not sys.stdin.isatty():
        raise InvalidManifest(f"is needed where there is no terminal to ask: {question}", path="--yes")
    print(f"{shown(question)} [y/N]", end=" ", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
