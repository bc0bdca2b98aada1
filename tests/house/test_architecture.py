"""docs/architecture.md follows a certificate through the code: what it names is there."""

from __future__ import annotations

import ast
import re

import pytest

from certmill.contract import STEP_NAMES

_REFERENCE = re.compile(r"`((?:certmill|tasks|workers|schedules|tests)/[\w/]+\.(?:py|lua))(?::([\w.]+))?`")


@pytest.fixture
def page(root):
    return (root / "docs" / "architecture.md").read_text()


def defined(source, dotted):
    """Whether a module defines this name, or a class of it this method."""
    body = ast.parse(source).body
    for part in dotted.split("."):
        found = [one for one in body if isinstance(one, ast.ClassDef | ast.FunctionDef) and one.name == part]
        if not found:
            return False
        body = found[0].body
    return True


def test_every_file_and_function_that_the_page_names_is_there(root, page):
    references = _REFERENCE.findall(page)

    assert len(references) > 30
    for path, name in references:
        assert (root / path).is_file(), path
        assert not name or defined((root / path).read_text(), name), f"{path}:{name}"


def test_every_step_is_on_the_page(page):
    for step in STEP_NAMES:
        assert f"certmill/steps/{step}.py:{step}" in page
