"""Run a command of Kubernetes' world to its end, on a home of its own that is gone afterwards."""

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
    """What it prints. Without a kubeconfig it reaches no cluster. Raises ServerFailed with what it says."""
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
