"""kubectl and cert-manager's cmctl, as an operator types them: built once, each from a Go module, on one
version of Kubernetes."""

from __future__ import annotations

from pathlib import Path

from compose.servers.build import go_build
from compose.servers.command import run

_SOURCES = Path(__file__).resolve().parent / "go"


def find_kubectl() -> Path:
    """The program, built if need be. Raises MissingServer."""
    return go_build(_SOURCES / "kubectl")


def find_cmctl() -> Path:
    """The program, built if need be. Raises MissingServer."""
    return go_build(_SOURCES / "cmctl")


def build_commands() -> None:
    """Build both, which takes minutes where they are not in the cache. Raises MissingServer."""
    find_kubectl()
    find_cmctl()


def kubectl(kubeconfig: Path, *arguments: str | Path, stdin: str = "") -> str:
    """Run it; its output. Raises MissingServer, ServerFailed with what it says."""
    return run(find_kubectl(), arguments, kubeconfig=kubeconfig, stdin=stdin)


def cmctl(kubeconfig: Path, *arguments: str | Path) -> str:
    """Run it; its output. Raises MissingServer, ServerFailed with what it says."""
    return run(find_cmctl(), arguments, kubeconfig=kubeconfig)
