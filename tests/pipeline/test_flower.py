"""What Flower shows of a run: one root, the steps in order, RETRY with the reason, SUCCESS under the same id,
FAILURE with one clean line."""

from __future__ import annotations

import json
import re
import subprocess
from urllib.error import HTTPError

import pytest

from certmill.client import IssuanceFailed
from certmill.contract import STEP_TASKS
from certmill.testing.nameserver import FakeNameserver
from compose.servers import require
from compose.servers.redis import RedisServer
from tests.pipeline.flower_api import LAGGING, FlowerApi
from tests.support.lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("flower")
    redis = RedisServer(directory=directory / "redis")
    patient = {
        "step_lease_seconds": "60",
        "step_grace_seconds": "60",
    }  # otherwise steps are published twice on a busy machine, as two tasks
    with (
        redis,
        Lab(
            directory=directory, redis_url=redis.url, secondaries={"lag.test": LAGGING}, settings=patient
        ) as lab,
    ):
        lab.certmill.start(flower=True)
        lab.until(
            lambda: json.loads(FlowerApi(lab.certmill.flower_port).get("/workers?json=1"))["data"],
            what="Flower hears the worker",
        )
        yield lab


@pytest.fixture(scope="module")
def flower(lab):
    return FlowerApi(lab.certmill.flower_port)


def done(flower, certificate):
    """The nine tasks of a run without repeated tasks, when Flower has received the end of all of them."""
    found = flower.tasks(certificate)
    return len(found) == 9 and {task["state"] for task in found} == {"SUCCESS"} and found


def steps(tasks):
    return [task["name"] for task in tasks if task["name"] in STEP_TASKS]


def test_a_run_is_one_root_with_the_steps_in_order(lab, flower):
    handle = lab.request("straight", "straight.other.test")
    handle.wait(60)

    tasks = lab.until(lambda: done(flower, "'default/straight'"), what="nine tasks in Flower, all SUCCESS")

    assert [task["name"] for task in tasks] == ["certificate.request", *STEP_TASKS]
    assert {task["root_id"] for task in tasks} == {handle.id}


def test_an_applied_certificate_has_a_root_of_its_own_and_says_what_began_it(lab, flower):
    spec = {
        "issuerRef": {"name": "prod", "kind": "ClusterIssuer"},
        "secretName": "applied",
        "dnsNames": ["applied.other.test"],
    }
    lab.apply(
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": {"name": "applied"},
            "spec": spec,
        }
    )

    def run():
        found = flower.tasks("'default/applied'")
        return len(found) == 8 and {task["state"] for task in found} == {"SUCCESS"} and found

    tasks = lab.until(run, what="eight tasks in Flower, all SUCCESS")

    assert [task["name"] for task in tasks] == list(STEP_TASKS)
    assert {task["root_id"] for task in tasks} == {tasks[0]["uuid"]}
    assert [task["parent_id"] for task in tasks] == [None, *(task["uuid"] for task in tasks[:-1])]
    assert {task["kwargs"] for task in tasks} == {"{'trigger': 'manifest', 'run': 1}"}


def test_no_tick_is_in_flower(lab, flower):
    lab.issue("besides", "besides.other.test")

    names = {task["name"] for task in json.loads(flower.get("/api/tasks?limit=10000")).values()}

    assert not [name for name in names if name.startswith("tick.")]


def test_no_argument_but_the_id_and_no_result_is_shown(lab, flower):
    lab.issue("shown", "shown.other.test")

    tasks = lab.until(lambda: done(flower, "'default/shown'"), what="nine tasks in Flower, all SUCCESS")

    assert {task["args"] for task in tasks} == {"('default/shown',)"}
    assert {task["kwargs"] for task in tasks} == {
        "{'trigger': 'request'}",
        "{'trigger': 'request', 'run': 1}",
    }
    assert {task["result"] for task in tasks} <= {None, "None"}


def test_a_wait_for_dns_is_retry_with_the_reason_and_then_success_under_the_same_id(lab, flower):
    with FakeNameserver(
        address=LAGGING, port=lab.bind.port, forward_to=lab.bind.address, hide_txt=True
    ) as secondary:
        handle = lab.request("lagging", "lagging.lag.test")
        reason = "ns2.lag.test (127.0.0.2) does not have it yet"

        def in_retry():
            found = [task for task in flower.tasks("'default/lagging'") if task["state"] == "RETRY"]
            return next((task for task in found if reason in (task["exception"] or "")), None)

        retried = lab.until(in_retry, what="RETRY in Flower")
        assert retried["name"] == "certificate.wait_for_propagation"
        assert re.search(r"; next try at 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC$", retried["exception"])
        assert (int(retried["retries"]) >= 1, retried["traceback"]) == (True, None)

        secondary.reveal()
        handle.wait(60)

    tasks = lab.until(lambda: done(flower, "'default/lagging'"), what="the end")
    assert sorted(steps(tasks), key=STEP_TASKS.index) == list(STEP_TASKS)
    went_on = next(task for task in tasks if task["name"] == "certificate.wait_for_propagation")
    assert (went_on["uuid"], went_on["state"]) == (retried["uuid"], "SUCCESS")
    assert {task["root_id"] for task in tasks} == {handle.id}


def test_a_refused_name_is_a_failure_with_one_clean_line_and_is_cleaned_up(lab, flower):
    handle = lab.request("refused", "www.blocked.test")
    with pytest.raises(IssuanceFailed):
        handle.wait(60)

    def ended():
        found = flower.tasks("'default/refused'")
        states = {task["name"]: task["state"] for task in found}
        return (states.get("certificate.clean_up"), states.get("certificate.create_order")) == (
            "SUCCESS",
            "FAILURE",
        ) and found

    tasks = lab.until(ended, what="refused and cleaned up")

    (failed,) = [task for task in tasks if task["state"] == "FAILURE"]
    assert failed["name"] == "certificate.create_order"
    assert "www.blocked.test" in failed["exception"]
    assert "\n" not in failed["exception"].strip()
    assert failed["traceback"] is None
    assert steps(tasks) == [
        "certificate.register_account",
        "certificate.create_order",
        "certificate.clean_up",
    ]
    assert {task["root_id"] for task in tasks} == {handle.id}


def test_flower_wants_a_login_and_changes_nothing(flower):
    for path in ("/", "/api/tasks", "/api/workers", "/tasks", "/metrics"):
        with pytest.raises(HTTPError) as refused:
            flower.get(path, login=False)
        assert refused.value.code == 401

    with pytest.raises(HTTPError) as refused:
        flower.get("/api/task/send-task/certificate.request", method="POST")
    assert refused.value.code == 403


def test_flower_shows_the_run_in_a_browser(lab, flower, tmp_path):
    lab.issue("seen", "seen.other.test")
    picture, page = (
        tmp_path / "flower.png",
        flower.url.replace("http://", "http://certmill:correct-horse-battery-staple@"),
    )
    quiet = [
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    command = [
        str(require("chromium")),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        *quiet,
        f"--user-data-dir={tmp_path / 'profile'}",
    ]

    shot = [
        *command,
        "--window-size=1600,900",
        "--virtual-time-budget=6000",
        f"--screenshot={picture}",
        f"{page}/tasks",
    ]
    dom = subprocess.run(
        [*command, "--virtual-time-budget=6000", "--dump-dom", f"{page}/tasks"],
        check=True,
        capture_output=True,
        timeout=60,
        text=True,
    )
    subprocess.run(shot, check=True, capture_output=True, timeout=60)

    assert picture.stat().st_size > 20_000
    assert "certificate.store_secret" in dom.stdout
    assert "default/seen" in dom.stdout
