"""Renders the chart as plain YAML: `python -m compose.render` writes compose/kubernetes/certmill.yaml, for
users who do not use Helm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from compose.servers.cluster.helm import helm
from compose.yaml_loader import load_documents

Json: TypeAlias = dict[str, Any]

CHART = Path(__file__).resolve().parent / "chart"
PLAIN = Path(__file__).resolve().parent / "kubernetes" / "certmill.yaml"
RELEASE, NAMESPACE = "certmill", "cert-manager"
KUBERNETES = "1.33.0"
"""The Kubernetes version for which the chart is rendered when there is no cluster to query."""

_HEAD = """\
# certmill in a cluster without Helm: compose/chart with its default values, by `make chart`; do not edit.
#
# YAML cannot make passwords, so first, once:
#
#   kubectl create namespace cert-manager
#   password=$(openssl rand -hex 24)
#   kubectl create secret generic certmill --namespace cert-manager \\
#     --from-literal=seal-keys="$(openssl rand -base64 32)" \\
#     --from-literal=flower-password="$(openssl rand -hex 16)" \\
#     --from-literal=redis-url="redis://certmill:$password@certmill-valkey:6379/0" \\
#     --from-literal=users.acl="user default off resetkeys resetchannels -@all
#   user certmill on >$password ~* &* +@all -@admin -@dangerous +info +config|get"
#
# Then the CustomResourceDefinitions, unless cert-manager's are there (these would replace them), and this
# file:
#
#   kubectl get crd certificates.cert-manager.io || kubectl apply --server-side -f compose/chart/crds/
#   kubectl apply -f compose/kubernetes/certmill.yaml
#
# A process reads its Secret when it starts, and nobody replaces the Pods here when you change it:
#
#   kubectl rollout restart deployment --namespace cert-manager --selector app.kubernetes.io/instance=certmill
#
# The image is `certmill`, from compose/Dockerfile: push it to a registry of yours, and put its name here.
# On OpenShift, take the two lines fsGroup out, or use Helm, which does.
"""


def rendered(
    *options: str, release: str = RELEASE, namespace: str = NAMESPACE, values: Sequence[Path] = ()
) -> str:
    """The YAML that Helm renders from the chart, without its CRDs. Raises MissingServer, ServerFailed."""
    files = [part for file in values for part in ("--values", str(file))]
    return helm(
        "template", release, CHART, "--namespace", namespace, "--kube-version", KUBERNETES, *files, *options
    )


def objects(
    *options: str, release: str = RELEASE, namespace: str = NAMESPACE, values: Sequence[Path] = ()
) -> list[Json]:
    """The objects that rendered() returns, parsed. Raises MissingServer, ServerFailed."""
    text = rendered(*options, release=release, namespace=namespace, values=values)
    documents = load_documents(text)
    return [document for document in documents if document]


def plain_yaml() -> str:
    """The content of compose/kubernetes/certmill.yaml. Raises MissingServer, ServerFailed."""
    return _HEAD + rendered("--skip-tests", "--set", "secret.existing=certmill")


if __name__ == "__main__":
    PLAIN.parent.mkdir(exist_ok=True)
    PLAIN.write_text(plain_yaml(), encoding="utf-8")
    print(f"wrote {PLAIN.relative_to(Path.cwd()) if PLAIN.is_relative_to(Path.cwd()) else PLAIN}")
