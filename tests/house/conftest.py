"""The house as the tests see it: every file that git tracks, and every module of ours parsed once."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("certmill", "tasks", "schedules", "workers", "compose")


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One Python file of ours, parsed."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """The path from the root, as messages show it."""
        return str(self.path.relative_to(ROOT))


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def modules():
    """Every module that is not a test."""
    found = []
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        text = path.read_text()
        found.append(Module(path=path, text=text, tree=ast.parse(text)))
    assert len(found) > 10
    return found


@pytest.fixture(scope="session")
def engine(modules):
    """The modules of certmill/."""
    return [module for module in modules if module.name.startswith("certmill/")]


@pytest.fixture(scope="session")
def tracked_texts():
    """The text of every file that git tracks or would track, by name; without the lock, which names where
    packages come from."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=30,
    )
    names = [
        name
        for name in listed.stdout.decode().split("\0")
        if name and name != "uv.lock" and (ROOT / name).is_file()
    ]
    return {name: (ROOT / name).read_text(errors="replace") for name in names}


@pytest.fixture(scope="session")
def uv():
    """uv, which runs these tests."""
    found = os.environ.get("UV") or shutil.which("uv")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("uv is not on PATH; run the tests by `make test`")
        pytest.skip("uv is not on PATH; `make test` finds one")
    return found
