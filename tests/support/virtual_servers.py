"""Installs the CustomResourceDefinition of VirtualServers of the NGINX Ingress Controller on an API
server."""

from __future__ import annotations

from typing import Any

from certmill.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, VIRTUAL_SERVERS
from compose.servers.cluster.kubernetes import KubeApiServer
from tests.support.waiting import until

VIRTUAL_SERVER_CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "virtualservers.k8s.nginx.org"},
    "spec": {
        "group": "k8s.nginx.org",
        "names": {
            "kind": "VirtualServer",
            "plural": "virtualservers",
            "singular": "virtualserver",
            "shortNames": ["vs"],
        },
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}


def serve_virtual_servers(kube: KubeApiServer) -> None:
    """Install the definition. Returns when the API server serves it."""
    kube.api.apply(
        CUSTOM_RESOURCE_DEFINITIONS.path(None, VIRTUAL_SERVER_CRD["metadata"]["name"]), VIRTUAL_SERVER_CRD
    )
    until(
        lambda: kube.api.request("GET", f"{VIRTUAL_SERVERS.path('')}?limit=1").is_ok,
        what="VirtualServers are served",
    )
