"""Suggests the correct form of a mistyped word, for messages that end in "did you mean …?". Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 100
_LEAST_LIKENESS = 0.75


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean dnsNames?` for the name in `known` that is similar to `word`, ignoring case; "" if
    there is none."""
    plain = {_plain(name): name for name in known}
    found = difflib.get_close_matches(_plain(word[:_LONGEST]), plain, n=1, cutoff=_LEAST_LIKENESS)
    return f"; did you mean {plain[found[0]]}?" if found else ""


def _plain(word: str) -> str:
    return word.lower().replace("_", "")
