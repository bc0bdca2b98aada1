"""Tasks are decorated functions of one call; what they have in common is in their base classes."""

from __future__ import annotations

import ast
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from certmill.certificates.begin_run import Reconciled
from certmill.contract import RENEWALS_TASK, REQUEST_TASK, STEP_NAMES, TASKS_OF_QUEUE
from certmill.errors import CertmillError, HomeUnavailable, Permanent
from certmill.model.names import CertificateId
from certmill.model.trigger import Trigger
from certmill.runs.outcomes import Drop, Fail, Proceed, Wait
from certmill.state.run_state import WakeUp
from certmill.testing.clock import FakeClock
from tasks import changes, requests, steps, ticks
from tasks.errors import NotYet

MODULES = (steps, requests, changes, ticks)
BRANCHES = (ast.If, ast.IfExp, ast.For, ast.While, ast.Try, ast.With, ast.BoolOp, ast.Lambda)


def functions() -> list[ast.FunctionDef]:
    """The tasks, as they are written."""
    trees = [ast.parse(Path(str(module.__file__)).read_text()) for module in MODULES]
    found = [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [node for node in found if node.decorator_list]


def app_with(runtime: object) -> Celery:
    app = Celery("test", set_as_current=False)
    app.runtime = lambda: runtime  # type: ignore[attr-defined]
    app.finalize()
    return app


class Engine:
    """Answers each step with this."""

    def __init__(self, result: object) -> None:
        self.result, self.ran = result, ""

    def run(self, step: str, certificate: str, **_: object) -> object:
        self.ran = f"{step} {certificate}"
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


class Records:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def wake_ups(self, certificates: list[str]) -> list[object]:
        self.asked += certificates
        return []


def run_step(result: object) -> tuple[object, Engine, Records]:
    """Run `certificate.finalize`; what Celery made of it."""
    engine, records = Engine(result), Records()
    app = app_with(
        SimpleNamespace(engine=engine, ports=SimpleNamespace(clock=FakeClock(0.0), records=records))
    )
    return app.tasks["certificate.finalize"].apply(args=("default/web",), task_id="one"), engine, records


def test_the_tasks_are_those_of_the_contract() -> None:
    ours = {name for name in app_with(None).tasks if not name.startswith("celery.")}

    assert ours == set().union(*TASKS_OF_QUEUE.values())


def test_each_step_is_a_function_that_grep_finds() -> None:
    assert [node.name for node in functions()][: len(STEP_NAMES)] == list(STEP_NAMES)
    names = {f"certificate.{name}": name for name in STEP_NAMES}
    assert {name: app_with(None).tasks[name].run.__name__ for name in names} == names


@pytest.mark.parametrize("task", functions(), ids=lambda node: node.name)
def test_a_task_makes_one_call_and_has_no_branch(task: ast.FunctionDef) -> None:
    _, *statements = task.body  # the docstring, which is required too

    assert ast.get_docstring(task)
    assert all(isinstance(one, ast.Expr) and isinstance(one.value, ast.Call) for one in statements)
    assert len(statements) <= (2 if task.name == "reconcile_ingress" else 1)
    assert not [node for node in ast.walk(task) if isinstance(node, BRANCHES)]


def test_a_step_runs_its_own_step_of_the_engine() -> None:
    result, engine, records = run_step(Proceed())

    assert (result.state, engine.ran, records.asked) == ("SUCCESS", "finalize default/web", [])  # type: ignore[attr-defined]


def test_a_step_that_waits_is_a_retry_with_its_reason_and_time() -> None:
    result, _, records = run_step(Wait(reason="the order is processing.", seconds=3.0))

    assert result.state == "RETRY"  # type: ignore[attr-defined]
    assert isinstance(result.result, NotYet)  # type: ignore[attr-defined]
    assert repr(result.result) == "the order is processing; next try at 1970-01-01 00:00:03 UTC"  # type: ignore[attr-defined]
    assert records.asked == []


@pytest.mark.parametrize(
    ("outcome", "state", "published"),
    [
        (Drop(), "SUCCESS", []),
        (Drop(publish_run=True), "SUCCESS", ["default/web"]),
        (Fail(message="the CA refused the CSR"), "FAILURE", ["default/web"]),
    ],
)
def test_what_a_step_that_does_not_advance_publishes(
    outcome: object, state: str, published: list[str]
) -> None:
    result, _, records = run_step(outcome)

    assert (result.state, records.asked) == (state, published)  # type: ignore[attr-defined]


def test_an_error_that_certmill_knows_is_shown_as_its_message() -> None:
    result, *_ = run_step(Permanent("the account is deactivated"))

    assert (result.state, repr(result.result)) == ("FAILURE", "the account is deactivated")  # type: ignore[attr-defined]


def test_of_a_defect_its_class_and_place_are_shown_and_not_its_text() -> None:
    result, *_ = run_step(KeyError("-----BEGIN PRIVATE KEY-----"))

    assert result.state == "FAILURE"  # type: ignore[attr-defined]
    shown = f"{result.result!r} {result.traceback}"  # type: ignore[attr-defined]
    assert "KeyError in certificate.finalize at test_tasks.py:" in shown
    assert "PRIVATE KEY" not in shown


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (("default/web", Reconciled(reason="new")), "SUCCESS"),
        (None, "FAILURE"),
        (HomeUnavailable("it does not answer"), "REJECTED"),
    ],
)
def test_a_request_is_kept_while_the_home_does_not_answer(answer: object, state: str) -> None:
    def request(body: object, *, request_id: str) -> object:
        if isinstance(answer, CertmillError):
            raise answer
        return answer

    app = app_with(SimpleNamespace(requests=SimpleNamespace(request=request)))

    assert app.tasks[REQUEST_TASK].apply(args=({"name": "web"},)).state == state


def test_a_request_continues_with_its_run_in_the_same_thread() -> None:
    wake_up = WakeUp(
        certificate=CertificateId("default/web"),
        step="validate",
        root_id="root",
        trigger=Trigger.REQUEST,
        run=7,
    )
    requests = SimpleNamespace(
        request=lambda *_, **__: ("default/web", Reconciled(reason="", publish_run=True))
    )
    ports = SimpleNamespace(records=SimpleNamespace(wake_ups=lambda _: [wake_up]))
    task = app_with(SimpleNamespace(requests=requests, ports=ports)).tasks[REQUEST_TASK]
    begun: list[Any] = []

    def begin(steps: list[Any]) -> bool:
        begun.extend(steps)
        return True

    task.push_request(id="the-request", continuation=SimpleNamespace(begin=begin))
    task({"name": "web"})

    assert [step["task"].removeprefix("certificate.") for step in begun] == list(STEP_NAMES[4:])
    assert [begun[0]["options"][name] for name in ("root_id", "parent_id", "retries")] == ["root", "root", 0]
    assert len({step["options"]["task_id"] for step in begun}) == len(begun)
    assert {step["options"]["kwargsrepr"] for step in begun} == {"{'trigger': 'request', 'run': 7}"}


def test_a_tick_is_noted_with_its_name_and_not_shown_by_flower() -> None:
    noted: list[str] = []

    @contextmanager
    def running(tick: str):
        yield
        noted.append(tick)

    app = app_with(
        SimpleNamespace(ticks=SimpleNamespace(running=running, renew=lambda: noted.append("renew")))
    )
    tick = app.tasks[RENEWALS_TASK]

    assert (tick.apply().state, noted, tick.send_events) == ("SUCCESS", ["renew", "renewals"], False)
