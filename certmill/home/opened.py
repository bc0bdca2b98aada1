"""Opens the home that the settings name, for a caller that needs no other part of the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certmill.clock import Clock
from certmill.home.base import Home
from certmill.settings import Settings

if TYPE_CHECKING:
    from certmill.kube.client import KubeClient


def open_home(settings: Settings, clock: Clock) -> Home:
    """Return the home. Nothing is read or created yet. Raises HomeUnavailable if there is no configuration
    for the API server."""
    if settings.home_kind == "directory":
        from certmill.home.directory.home import DirectoryHome

        return DirectoryHome(settings.home, cluster_resource_namespace=settings.cluster_resource_namespace)
    return kubernetes_home(settings, clock, kube_client(settings))


def kubernetes_home(settings: Settings, clock: Clock, client: KubeClient) -> Home:
    """Return the home on the API server of this client."""
    from certmill.home.kubernetes.home import KubernetesHome

    return KubernetesHome(
        client,
        cluster_resource_namespace=settings.cluster_resource_namespace,
        clock=clock,
        secrets_manager=settings.secrets_field_manager,
    )


def kube_client(settings: Settings) -> KubeClient:
    """Return a client of the API server. Its library takes 40 MB and a second, so it is imported only where
    it is used."""
    from certmill.kube.client import KubeClient
    from certmill.kube.connection import connect

    return KubeClient(connect(kubeconfig=settings.kubeconfig, connections=settings.worker_concurrency + 16))
