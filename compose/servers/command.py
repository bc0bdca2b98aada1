"""Runs a command-line program (helm, kubectl, promtool) to its end, with a temporary HOME."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from compose.servers import ServerFailed

_TIMEOUT_SECONDS = 120


def run(
    program: Path, arguments: Sequence[str | Path], *, kubeconfig: Path | None = None, stdin: str = ""
) -> str:
    """The standard output of the program. Without a kubeconfig the program cannot reach a cluster.

    Raises ServerFailed with the program's message, and subprocess.TimeoutExpired after _TIMEOUT_SECONDS.
    """
    with tempfile.TemporaryDirectory(prefix=f"certmill-{program.name}-") as home:
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": home,
            "KUBECONFIG": str(kubeconfig or os.devnull),
        }
        done = subprocess.run(
            [program, *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
    if done.returncode != 0:
        raise ServerFailed(f"{program.name} {arguments[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
