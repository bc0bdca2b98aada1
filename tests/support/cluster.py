"""A real API server for tests: certmill's CRDs, clients, an empty cluster, and objects that users and
other programs write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from certmill.kube.client import KubeClient
from certmill.kube.connection import connect
from certmill.kube.objects import meta_of
from certmill.kube.resources import (
    CERTIFICATES,
    CLUSTER_ISSUERS,
    EVENTS,
    INGRESSES,
    ISSUERS,
    LEASES,
    SECRETS,
    VIRTUAL_SERVERS,
)
from compose.servers.cluster.kubernetes import ADMIN, KubeApiServer
from tests.support.waiting import until

CRDS = sorted((Path(__file__).resolve().parents[2] / "compose" / "chart" / "crds").glob("*.yaml"))
OTHER = "kubectl-edit"
"""The field manager of another writer."""


def client_of(server: KubeApiServer, user: str = ADMIN, **options: int) -> KubeClient:
    """A KubeClient of a user."""
    return KubeClient(connect(kubeconfig=server.kubeconfig(user)), **options)


def make_namespace(server: KubeApiServer, name: str) -> str:
    """Create the namespace if it does not exist, and return its name."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    server.api.apply(f"/api/v1/namespaces/{name}", body)
    return name


def make_empty(client: KubeClient) -> None:
    """Remove everything that certmill reads or writes, in all namespaces."""
    shims = (INGRESSES, VIRTUAL_SERVERS) if client.serves(VIRTUAL_SERVERS) else (INGRESSES,)
    for resource in (*shims, CERTIFICATES, ISSUERS, CLUSTER_ISSUERS, SECRETS, EVENTS, LEASES):
        for body in client.list(resource, metadata_only=True).items:
            meta = meta_of(body)
            if not meta.namespace.startswith("kube-"):
                client.delete(resource, meta.namespace, meta.name)


def grant(server: KubeApiServer, user: str, rules: Sequence[dict[str, Any]]) -> None:
    """Bind these rules to a user, in the whole cluster. Returns when they are in effect, which is a moment
    later."""
    name, group = user.replace(":", "-"), "rbac.authorization.k8s.io"
    path, version = f"/apis/{group}/v1", f"{group}/v1"
    server.api.apply(
        f"{path}/clusterroles/{name}",
        {"apiVersion": version, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
    )
    binding = {
        "apiVersion": version,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
    server.api.apply(f"{path}/clusterrolebindings/{name}", binding)
    right = {
        "verb": rules[0]["verbs"][0],
        "group": rules[0]["apiGroups"][0],
        "resource": rules[0]["resources"][0],
    }
    until(lambda: is_allowed(server, user, right), what=f"{user} was granted {right}")


def is_allowed(server: KubeApiServer, user: str, right: dict[str, str], groups: Sequence[str] = ()) -> bool:
    """Whether RBAC allows this to a user (SubjectAccessReview)."""
    spec = {"user": user, "groups": list(groups), "resourceAttributes": right}
    answer = server.api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
    assert answer.is_ok, answer.message
    return bool(answer.body["status"]["allowed"])
