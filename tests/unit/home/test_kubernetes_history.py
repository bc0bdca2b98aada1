"""The history of a Certificate in its annotation."""

from __future__ import annotations

import json

import pytest

from certmill.home.kubernetes.history import HISTORY_ANNOTATION, history_annotation, history_of
from certmill.home.kubernetes.status import certificate_status_of
from certmill.model.history import PastRun

HISTORY = (PastRun(at=1.0, message="no such name", times=2), PastRun(at=2.0, issued=True, message="serial 1"))


def body(annotation=None):
    return {"metadata": {"annotations": {HISTORY_ANNOTATION: annotation} if annotation is not None else {}}}


def test_what_is_written_is_read_back_and_not_written_again():
    written = history_annotation(HISTORY, body())

    assert history_of(body(written)) == certificate_status_of(body(written)).history == HISTORY
    assert history_annotation(HISTORY, body(written)) is None
    assert history_annotation((), body()) is None


@pytest.mark.parametrize(
    "annotation", ["", "no json", "[]", '{"runs": 1}', '{"runs": ["x", 1]}', '{"v": 99, "runs": []}']
)
def test_a_damaged_history_is_none(annotation):
    assert history_of(body(annotation)) == ()


def test_what_a_newer_release_has_written_besides_is_kept():
    annotation = json.dumps({"runs": [], "since": 7})

    assert json.loads(history_annotation(HISTORY, body(annotation)))["since"] == 7
    assert history_annotation(HISTORY, body('{"v": 99, "runs": []}')) is None
