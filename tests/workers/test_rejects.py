"""A look that meets a conflict or an API server that is away: what becomes of it, and what the log says."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import structlog
from celery import Celery
from celery.app import trace

from certmill.contract import RECONCILE_TASKS
from certmill.errors import CertmillError, Conflict, HomeUnavailable
from certmill.settings import load
from certmill.testing.clock import FakeClock
from tasks import changes as _  # noqa: F401 - defines the task
from workers import signals


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Logging is global: put it back for the other tests."""
    root, tracer = logging.getLogger(), logging.getLogger(trace.__name__)
    handlers, level, filters = root.handlers[:], root.level, tracer.filters[:]
    yield
    root.handlers[:], tracer.filters[:] = handlers, filters
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


class Issuers:
    """Looks at issuers, the first of which raise these."""

    def __init__(self, *errors: CertmillError) -> None:
        self.errors, self.looks = list(errors), 0

    def reconcile_path(self, kind: str, reference: str, *, owner: str) -> None:
        self.looks += 1
        if self.errors:
            raise self.errors.pop(0)


def looked(issuers: Issuers) -> str:
    """Run the task that looks at an Issuer; its state. Whatever comes of it, no thread waits for it."""
    app, clock = Celery("probe", set_as_current=False), FakeClock(0.0)
    runtime = SimpleNamespace(issuers=issuers, ports=SimpleNamespace(clock=clock))
    app.runtime = lambda: runtime  # type: ignore[attr-defined]  # as workers.celery_app sets it; only what the task uses
    state = str(app.tasks[RECONCILE_TASKS["Issuer"]].apply(args=("default/prod",)).state)
    assert clock.now() == 0.0
    return state


def conflict() -> Conflict:
    return Conflict("cannot write Issuer default/prod: it changed meanwhile")


def test_a_conflict_is_reconciled_again_at_once_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    signals.configure_log(load(log_format="json"), "worker")
    issuers = Issuers(conflict(), conflict())

    assert looked(issuers) == "SUCCESS"
    assert issuers.looks == 3
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "errors", [(conflict(), conflict(), conflict()), (HomeUnavailable("the API server does not answer"),)]
)
def test_what_goes_back_to_its_queue_is_one_line_without_a_traceback(
    capsys: pytest.CaptureFixture[str], errors: tuple[CertmillError, ...]
) -> None:
    signals.configure_log(load(log_format="json"), "worker")

    assert looked(Issuers(*errors)) == "REJECTED"
    (text,) = capsys.readouterr().err.splitlines()
    line = json.loads(text)
    assert "exception" not in line
    assert "Traceback" not in text
    assert str(errors[-1]) in line["event"]
