"""Flower in a real browser after a day of ticks: the first page of tasks shows certificates, what waits and
what failed.

`CERTMILL_PICTURE=docs/flower.png pytest tests/pipeline/test_flower_picture.py` makes the picture in the
documentation."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from certmill.contract import TICKS_QUEUE, WAKE_TASK, envelope
from certmill.testing.nameserver import FakeNameserver
from compose.servers import require
from compose.servers.redis import RedisServer
from tests.pipeline.flower_api import LAGGING, FlowerApi
from tests.support.lab import Lab

TICKS = 1440
"""A part of the 86,400 ticks of a day, so that this test takes a minute; `make bench` (soak) runs all.
Flower gets no event of them."""
STORED = ("api", "billing", "blog", "mail", "shop", "status")
WAITING = ("edge-1", "edge-2")
FAILED = ("forms", "legacy")
_QUIET = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def lab(tmp_path):
    redis = RedisServer(directory=tmp_path / "redis")
    patient = {"step_lease_seconds": "60", "step_grace_seconds": "60"}
    with (
        redis,
        Lab(
            directory=tmp_path, redis_url=redis.url, secondaries={"lag.test": LAGGING}, settings=patient
        ) as lab,
    ):
        lab.certmill.start(flower=True)
        lab.until(
            lambda: json.loads(FlowerApi(lab.certmill.flower_port).get("/workers?json=1"))["data"],
            what="Flower hears the worker",
        )
        yield lab


def tick_for_long(lab):
    """The ticks of a day, executed one after the other."""
    client = lab.runtime.redis
    for number in range(TICKS):
        client.lpush(
            TICKS_QUEUE,
            json.dumps(
                envelope(WAKE_TASK, (), queue=TICKS_QUEUE, task_id=f"t{number}", argsrepr="()", origin="test")
            ),
        )
    lab.until(lambda: client.llen(TICKS_QUEUE) == 0, seconds=180, what="the ticks are done")


def states(flower, names):
    """The states of the tasks of these certificates."""
    return [{task["state"] for task in flower.tasks(f"'default/{name}'")} for name in names]


def chromium(tmp_path, *arguments):
    command = [
        str(require("chromium")),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        *_QUIET,
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    command += ["--window-size=2000,800", "--virtual-time-budget=8000", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, timeout=120, text=True)
    return done.stdout


def test_after_a_day_of_ticks_the_first_page_shows_certificates(lab, tmp_path):
    flower = FlowerApi(lab.certmill.flower_port)
    for name in STORED:
        lab.issue(name, f"{name}.other.test")
    with FakeNameserver(address=LAGGING, port=lab.bind.port, forward_to=lab.bind.address, hide_txt=True):
        for name in FAILED:
            lab.request(name, f"{name}.blocked.test")
        for name in WAITING:
            lab.request(name, f"{name}.lag.test")
        lab.until(lambda: all("FAILURE" in found for found in states(flower, FAILED)), what="two have failed")
        lab.until(lambda: all("RETRY" in found for found in states(flower, WAITING)), what="two wait")
        tick_for_long(lab)

        page = flower.url.replace("http://", "http://certmill:correct-horse-battery-staple@") + "/tasks"
        picture = tmp_path / "flower.png"
        dom = chromium(tmp_path, "--dump-dom", page)
        chromium(tmp_path, f"--screenshot={picture}", page)

    rows = re.findall(r"<tr id=\"[^\"]+\".*?</tr>", dom, flags=re.DOTALL)
    shown = [re.sub(r"<[^>]+>", " ", row) for row in rows]
    assert len(rows) == 15
    assert not [row for row in shown if "tick." in row]
    assert all("default/" in row for row in shown)
    assert [row for row in shown if "RETRY" in row and "does not have it yet; next try at" in row]
    assert [row for row in shown if "FAILURE" in row]
    assert "Showing 1 to 15 of" in dom
    assert 20_000 < picture.stat().st_size < 200_000
    if wanted := os.environ.get("CERTMILL_PICTURE"):
        Path(wanted).write_bytes(picture.read_bytes())
