"""How tests share code: through helper modules, in tests/support if two directories use them."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

# `python -m tests.bench` is a program: it uses the labs, and tests look at it.
PROGRAMS = {"bench"}


def imports_of(tree):
    """The modules of tests/ that a file imports."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (name for name in names if name.startswith("tests."))


@pytest.fixture(scope="module")
def trees(root):
    """Each file below tests/, parsed."""
    tests = root / "tests"
    return {file.relative_to(tests): ast.parse(file.read_text()) for file in sorted(tests.rglob("*.py"))}


@pytest.fixture(scope="module")
def imports(trees):
    """(file below tests/, imported module below tests) of all tests."""
    found = [(file, name.removeprefix("tests.")) for file, tree in trees.items() for name in imports_of(tree)]
    assert len(found) > 100
    return found


def test_no_module_of_tests_imports_a_module_that_has_tests(imports):
    assert [f"{file}: {name}" for file, name in imports if name.rpartition(".")[2].startswith("test_")] == []


def test_directories_of_tests_share_code_through_support_only(imports):
    def is_shared(file: Path, package: str) -> bool:
        return package in {"support", file.parts[0]} | PROGRAMS or file.parts[0] in PROGRAMS

    assert [f"{file}: {name}" for file, name in imports if not is_shared(file, name.partition(".")[0])] == []


def test_names_of_tests_are_at_most_80_characters_long(trees):
    long = [
        f"{file}: {node.name}"
        for file, tree in trees.items()
        if file.name.startswith("test_")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and len(node.name) > 80
    ]

    assert long == []


def test_there_is_one_helper_that_waits(trees):
    """A loop with a deadline of its own says nothing when it ends; `until` says for what it waited."""
    named = {"until", "eventually", "wait_until", "wait_for"}
    found = {
        str(file)
        for file, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name in named
    }

    assert found == {"support/waiting.py"}


def test_processes_that_tests_start_cache_their_bytecode():
    """Some machines switch the cache off. Then each process compiles all its modules again."""
    child = [sys.executable, "-c", "import sys; print(sys.dont_write_bytecode)"]

    assert subprocess.run(child, capture_output=True, text=True, check=True, timeout=60).stdout == "False\n"


def test_processes_that_make_starts_cache_their_bytecode(root, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    make = ["make", "--silent", "--eval=shown: ; @env", "shown"]

    shown = subprocess.run(make, cwd=root, capture_output=True, text=True, check=True, timeout=60).stdout

    assert "PATH=" in shown
    assert "PYTHONDONTWRITEBYTECODE" not in shown


def test_the_measured_coverage_counts_branches_and_has_a_floor_of_95_percent(root):
    make = ["make", "--silent", "--dry-run", "coverage"]

    shown = subprocess.run(make, cwd=root, capture_output=True, text=True, check=True, timeout=60).stdout

    assert "--cov-fail-under=95 " in shown
    assert tomllib.loads((root / "pyproject.toml").read_text())["tool"]["coverage"]["run"]["branch"] is True
