"""What Flower remembers is bounded by count and age, and comes back after a restart."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import flower.events
import pytest
from tornado.ioloop import IOLoop

from workers.flower.state import MAX_AGE_SECONDS, BoundedState, SavedEvents


def heard(state, kind, uuid, *, at=None, worker="one@here", **fields):
    at = at if at is not None else time.time()
    known = {"hostname": worker, "timestamp": at, "local_received": at, "clock": 1, "pid": 7}
    state.event({"type": f"task-{kind}", "uuid": uuid, **known, **fields})


def run_of(state, certificate, *, at=None, worker="one@here"):
    """A task of a certificate that has succeeded."""
    shown = {
        "name": "certificate.validate",
        "args": f"('{certificate}',)",
        "kwargs": "{'trigger': 'renewal', 'run': 3}",
        "retries": 0,
    }
    heard(
        state,
        "received",
        f"id-{certificate}",
        at=at,
        worker=worker,
        root_id="root",
        parent_id="root",
        **shown,
    )
    heard(state, "started", f"id-{certificate}", at=at, worker=worker)
    heard(state, "succeeded", f"id-{certificate}", at=at, worker=worker, runtime=0.5, result="None")


@pytest.fixture
def state():
    return BoundedState(max_tasks_in_memory=100)


@pytest.fixture
def saved(tmp_path: Path):
    """Makes what `celery flower` makes, on one file."""

    def make():
        options = {
            "db": str(tmp_path / "state"),
            "persistent": True,
            "state_save_interval": 30_000,
            "max_tasks_in_memory": 100,
        }
        return SavedEvents(None, IOLoop.current(), enable_events=False, **options)

    return make


def found(state, query):
    return sorted(state.search_engine.search(state.tasks, query).task_ids)


def test_no_more_tasks_are_kept_than_the_limit(state):
    for number in range(250):
        run_of(state, f"default/web-{number}")

    assert len(state.tasks) == len(state.search_engine.documents) == 100
    assert len(state._taskheap) <= 100
    assert found(state, "default/web-249") == ["id-default/web-249"]


def test_what_is_older_than_a_month_is_forgotten(state):
    now = time.time()
    run_of(state, "default/old", at=now - MAX_AGE_SECONDS - 60)
    run_of(state, "default/new", at=now)

    state.forget(now)

    assert list(state.tasks) == ["id-default/new"]
    assert found(state, "default/") == ["id-default/new"]


def test_a_worker_that_is_gone_is_forgotten_with_its_counts_and_metrics(state):
    now = time.time()
    for number in range(50):
        run_of(state, f"default/{number}", at=now - 7200, worker=f"pod-{number}@here")
    run_of(state, "default/new", at=now, worker="new@here")

    state.forget(now)

    assert list(state.workers) == list(state.counter) == list(state.tasks_by_worker) == ["new@here"]
    assert {labels[0] for labels in state.metrics.runtime._metrics} & {
        f"pod-{number}@here" for number in range(50)
    } == set()


def test_one_search_finds_the_tasks_of_one_run(state):
    run_of(state, "default/web")
    run_of(state, "default/api")

    assert found(state, "args:default/web kwargs:run=3") == ["id-default/web"]
    assert found(state, "kwargs:trigger=manual") == []


def test_what_was_saved_is_there_after_a_restart(saved, tmp_path):
    before = saved()
    run_of(before.state, "default/web")
    heard(before.state, "received", "root", name="certificate.request", args="('default/web',)", retries=0)
    before.state.event(
        {
            "type": "worker-heartbeat",
            "hostname": "one@here",
            "timestamp": time.time(),
            "local_received": time.time(),
            "threads": 4,
        }
    )
    before.save_state()

    after = saved().state

    task = after.tasks["id-default/web"]
    assert (task.state, task.args, task.runtime, task.worker.hostname, task.root_id) == (
        "SUCCESS",
        "('default/web',)",
        0.5,
        "one@here",
        "root",
    )
    assert [child.uuid for child in after.tasks["root"].children] == ["id-default/web"]
    assert found(after, "default/web") == ["id-default/web", "root"]
    assert (after.workers["one@here"].threads, after.counter["one@here"]["task-succeeded"]) == (4, 1)
    heard(after, "succeeded", "root")
    assert after.tasks["root"].state == "SUCCESS"
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_read_is_put_aside(saved, tmp_path):
    for content in (b"\x80", b"[]", b'{"format": 1}\n', b'{"workers": [{}], "counter": {}}\n'):
        (tmp_path / "state.json").write_bytes(content)

        assert len(saved().state.tasks) == 0
        assert (tmp_path / "state.unreadable").read_bytes() == content


def test_fields_of_a_later_release_are_left_out(saved, tmp_path):
    before = saved()
    run_of(before.state, "default/web")
    before.save_state()
    lines = [
        json.loads(line) | {"of_a_later_release": 1}
        for line in (tmp_path / "state.json").read_text().splitlines()
    ]
    (tmp_path / "state.json").write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    assert found(saved().state, "default/web") == ["id-default/web"]


def test_saving_is_done_on_a_thread_and_only_when_something_was_heard(saved, tmp_path):
    threads = []

    async def play():
        events = saved()
        write = events._write
        events._write = lambda copied: (threads.append(threading.current_thread()), write(copied))
        run_of(events.state, "default/web")
        for _ in range(3):
            events.save_state()
            await asyncio.get_running_loop().shutdown_default_executor()
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))

    asyncio.run(play())

    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    assert len((tmp_path / "state.json").read_text().splitlines()) == 2


def test_what_is_replaced_in_flower_is_there():
    assert issubclass(BoundedState, flower.events.State)
    for name in ("event", "_clear_tasks", "tasks_by_worker", "rebuild_taskheap", "heap_multiplier"):
        assert hasattr(flower.events.EventsState(), name), name
    for name in ("load_state", "save_state"):
        assert callable(vars(flower.events.Events)[name]), name
