"""Counts calls of the operating system and of the parser: a cost that is the same on every machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
import yaml

COUNTED = ((os, "stat"), (os, "listdir"), (os, "open"), (os, "rename"), (os, "replace"), (yaml, "parse"))


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """The number of calls of each of these functions."""
    counts = {f"{module.__name__}.{name}": 0 for module, name in COUNTED}

    def counted(module: ModuleType, name: str) -> Callable[..., object]:
        real: Callable[..., object] = getattr(module, name)

        def call(*args: object, **options: object) -> object:
            counts[f"{module.__name__}.{name}"] += 1
            return real(*args, **options)

        return call

    with monkeypatch.context() as patch:
        for module, name in COUNTED:
            patch.setattr(module, name, counted(module, name))
        yield counts


def linear(one: dict[str, int], two: dict[str, int]) -> bool:
    return all(two[name] <= 2 * count + 10 for name, count in one.items())
