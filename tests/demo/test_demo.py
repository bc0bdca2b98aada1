"""The demo as a new user runs it: what it prints, how it ends, and that nothing is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from certmill.contract import STEP_NAMES
from compose.servers.pebble import find_pebble
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]


def demo(**environment):
    """The process, with its output in a pipe."""
    command = [sys.executable, "-m", "compose.demo"]
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1", **environment}, text=True, **both
    )


def directory_in(output):
    return Path(re.search(r"/\S*certmill-demo-\w+", output).group())


def processes_in(directory):
    """The pids of processes that have this directory in their command or environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(directory).encode() in said:
            found.append(process.name)
    return found


def test_it_issues_a_certificate_shows_each_step_and_leaves_nothing():
    find_pebble()
    run = demo(KEEP="", CERTMILL_HOME="/somebody/elses", REDIS_URL="redis://somebody.elses")

    output, _ = run.communicate(timeout=100)

    assert run.returncode == 0, output
    assert "signed by Pebble" in output
    assert "demo.example.test, www.demo.example.test" in output
    assert [step for step in STEP_NAMES if not re.search(rf"{step} +SUCCESS .*took", output)] == []
    assert "Certificate is up to date" in output
    assert re.search(r"Flower +http://127\.0\.0\.1:\d+", output)
    assert re.search(r"metrics +beat http://127\.0\.0\.1:\d+/metrics, responder http", output)
    assert re.search(r"logs +grep certificate\. /\S+/certmill\.log", output)
    assert not directory_in(output).exists()
    until(lambda: processes_in(directory_in(output)) == [], what="a process is left")


def test_kept_it_runs_until_it_is_interrupted_even_twice():
    find_pebble()
    run = demo(KEEP="1")
    lines = []
    for line in run.stdout:
        lines.append(line)
        if line.startswith("Stop it with"):
            break
    output = "".join(lines)
    assert "Left running" in output, output
    assert processes_in(directory_in(output)) != []

    run.send_signal(signal.SIGINT)
    time.sleep(0.3)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=100)

    assert run.returncode == 0
    assert not directory_in(output).exists()
    until(lambda: processes_in(directory_in(output)) == [], what="a process is left")


def test_what_fails_ends_it_with_the_reason_and_the_end_of_the_log(tmp_path):
    programs = tmp_path / "servers" / find_pebble().name
    programs.mkdir(parents=True)
    for name in ("pebble", "pebble-challtestsrv"):
        (programs / name).write_text("#!/bin/sh\necho out of order\nexit 1\n")
        (programs / name).chmod(0o755)

    run = demo(CERTMILL_CACHE=str(tmp_path))
    output, _ = run.communicate(timeout=100)

    assert run.returncode == 1
    assert "The demo failed: pebble-challtestsrv ended by itself: out of order" in output
    assert "Traceback" not in output
