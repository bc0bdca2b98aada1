"""Forks of the preloaded process behave as processes that were started by `python -m`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.support.preloaded import run_preloaded, spawn_preloaded

PROGRAM = """
import json, os, sys, time
loaded = [name in sys.modules for name in ("celery", "tasks")]
leads = os.getsid(0) == os.getpid()
print(json.dumps([sys.argv[1:], dict(os.environ), loaded, leads, __name__]))
if sys.argv[1] == "wait":
    time.sleep(600)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def fork(tmp_path):
    """Starts PROGRAM with one argument."""
    (tmp_path / "forked_program.py").write_text(PROGRAM)
    started = []

    def start(argument):
        with (tmp_path / "log").open("ab") as log:
            environment = {"PYTHONPATH": str(tmp_path), "PYTHONUNBUFFERED": "1", "OF": "its own"}
            command = [sys.executable, "-m", "forked_program", argument]
            started.append(spawn_preloaded(command, log=log, environment=environment))
        return started[-1]

    yield start
    for process in started:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_fork_has_its_arguments_environment_log_and_exit_code(fork, tmp_path):
    assert fork("3").wait(30) == 3

    written = (tmp_path / "log").read_text()
    assert '[["3"], {"PYTHONPATH": ' in written
    assert '"OF": "its own"}, [true, false], true, "__main__"]' in written


def test_a_fork_runs_until_it_is_killed(fork):
    waits = fork("wait")
    with pytest.raises(subprocess.TimeoutExpired):
        waits.wait(0.05)
    assert waits.poll() is None

    os.kill(waits.pid, signal.SIGKILL)

    assert waits.wait(30) == -signal.SIGKILL
    assert waits.poll() == -signal.SIGKILL


def test_forks_end_independently_of_each_other(fork):
    first, second = fork("wait"), fork("0")

    assert second.wait(30) == 0
    assert first.poll() is None


def test_any_other_command_is_started_as_it_is(tmp_path):
    with (tmp_path / "log").open("ab") as log:
        assert spawn_preloaded(["/bin/sh", "-c", "exit 4"], log=log, environment={}).wait(30) == 4


def test_a_command_reads_its_input_and_its_output_and_errors_are_told_apart(tmp_path):
    program = "import sys; print(sys.stdin.read().upper()); print('wrong', file=sys.stderr); sys.exit(5)"
    (tmp_path / "forked_command.py").write_text(program)

    done = run_preloaded("forked_command", "x", stdin="given", environment={"PYTHONPATH": str(tmp_path)})

    assert (done.returncode, done.stdout, done.stderr) == (5, "GIVEN\n", "wrong\n")


def test_a_command_that_takes_too_long_is_ended(tmp_path):
    (tmp_path / "forked_sleeper.py").write_text("import time; time.sleep(600)")

    with pytest.raises(subprocess.TimeoutExpired):
        run_preloaded("forked_sleeper", environment={"PYTHONPATH": str(tmp_path)}, timeout=0.2)
