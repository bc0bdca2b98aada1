"""Helm, which renders and installs certmill's chart: built from its Go module, once."""

from __future__ import annotations

from pathlib import Path

from compose.servers.build import go_install
from compose.servers.command import run

_VERSION = "3.19.2"


def find_helm() -> Path:
    """The program, built if need be. Raises MissingServer."""
    return go_install(f"helm-{_VERSION}", [f"helm.sh/helm/v3/cmd/helm@v{_VERSION}"]) / "helm"


def helm(*arguments: str | Path, kubeconfig: Path | None = None) -> str:
    """Run it; its output. Raises MissingServer, ServerFailed with what it says."""
    return run(find_helm(), arguments, kubeconfig=kubeconfig)
