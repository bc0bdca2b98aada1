"""Runs kubectl and cert-manager's cmctl with the arguments that an operator types. Each is built once from a
Go module; both use the same Kubernetes version."""

from __future__ import annotations

from pathlib import Path

from compose.servers.build import go_build
from compose.servers.command import run

_SOURCES = Path(__file__).resolve().parent / "go"


def find_kubectl() -> Path:
    """The path of kubectl; builds it if necessary. Raises MissingServer."""
    return go_build(_SOURCES / "kubectl")


def find_cmctl() -> Path:
    """The path of cmctl; builds it if necessary. Raises MissingServer."""
    return go_build(_SOURCES / "cmctl")


def build_commands() -> None:
    """Build both programs. This takes minutes if they are not in the cache. Raises MissingServer."""
    find_kubectl()
    find_cmctl()


def kubectl(kubeconfig: Path, *arguments: str | Path, stdin: str = "") -> str:
    """Run kubectl. Returns its output. Raises MissingServer, and ServerFailed with kubectl's message."""
    return run(find_kubectl(), arguments, kubeconfig=kubeconfig, stdin=stdin)


def cmctl(kubeconfig: Path, *arguments: str | Path) -> str:
    """Run cmctl. Returns its output. Raises MissingServer, and ServerFailed with cmctl's message."""
    return run(find_cmctl(), arguments, kubeconfig=kubeconfig)
