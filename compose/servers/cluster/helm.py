"""Runs Helm, which renders and installs certmill's chart. Helm is built once, from its Go module."""

from __future__ import annotations

from pathlib import Path

from compose.servers.build import go_install
from compose.servers.command import run

_VERSION = "3.19.2"


def find_helm() -> Path:
    """The path of the program; builds it if necessary. Raises MissingServer."""
    return go_install(f"helm-{_VERSION}", [f"helm.sh/helm/v3/cmd/helm@v{_VERSION}"]) / "helm"


def helm(*arguments: str | Path, kubeconfig: Path | None = None) -> str:
    """Run helm. Returns its output. Raises MissingServer, and ServerFailed with helm's message."""
    return run(find_helm(), arguments, kubeconfig=kubeconfig)
