"""Helm, which renders and installs certmill's chart: built from its Go module, once."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from compose.servers import ServerFailed
from compose.servers.build import go_install

_VERSION = "3.19.2"
_TIMEOUT_SECONDS = 120


def find_helm() -> Path:
    """The program, built if need be. Raises MissingServer."""
    return go_install(f"helm-{_VERSION}", [f"helm.sh/helm/v3/cmd/helm@v{_VERSION}"]) / "helm"


def helm(*arguments: str | Path, kubeconfig: Path | None = None) -> str:
    """Run it; its output. What it keeps on the machine is gone afterwards. Raises MissingServer, ServerFailed with what it says."""
    with tempfile.TemporaryDirectory(prefix="certmill-helm-") as home:
        return _run(find_helm(), arguments, kubeconfig, Path(home))


def _run(program: Path, arguments: Sequence[str | Path], kubeconfig: Path | None, home: Path) -> str:
    places = {f"HELM_{name}_HOME": str(home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(home), "KUBECONFIG": str(kubeconfig or os.devnull), **places}
    done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS)
    if done.returncode != 0:
        raise ServerFailed(f"helm {arguments[0]}: {done.stderr.strip()}")
    return done.stdout
