"""What the processes do not load, as each module costs memory in each process (`python -m workers up`)."""

from __future__ import annotations

import subprocess
import sys

import pytest

ENGINE, CELERY = "certmill.runtime", "celery"


def is_loaded(module: str, after: str) -> bool:
    code = f"import sys; {after}; print({module!r} in sys.modules)"
    return (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "True\n"
    )


@pytest.mark.parametrize(("command", "expected"), [("worker", True), ("beat", False), ("flower", False)])
def test_only_a_worker_loads_the_engine(command: str, expected: bool) -> None:
    assert is_loaded(ENGINE, f"sys.argv = ['celery', {command!r}]; from workers import app") is expected


def test_the_supervisor_loads_neither_celery_nor_the_engine() -> None:
    after = "import workers.__main__"

    assert (is_loaded(CELERY, after), is_loaded(ENGINE, after)) == (False, False)
