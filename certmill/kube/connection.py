"""Where the API server is: the Pod's service account, else a kubeconfig. The official client reads both, and refreshes tokens."""

from __future__ import annotations

import os
from pathlib import Path

from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException

from certmill.errors import HomeUnavailable

IN_CLUSTER_VARIABLE = "KUBERNETES_SERVICE_HOST"


def connect(*, kubeconfig: Path | None = None, connections: int = 64) -> ApiClient:
    """The official client for this Pod's API server, or for `kubeconfig` (default: $KUBECONFIG, ~/.kube/config). Sends nothing.

    Raises HomeUnavailable when there is no usable configuration.
    """
    configuration = Configuration()
    try:
        if kubeconfig is None and os.environ.get(IN_CLUSTER_VARIABLE):
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            file = str(kubeconfig) if kubeconfig is not None else None
            config.load_kube_config(config_file=file, client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise HomeUnavailable(
            f"no way to a Kubernetes API server: {' '.join(str(error).split())[:200]}; run in a Pod, or set CERTMILL_KUBECONFIG"
        ) from error
    configuration.connection_pool_maxsize = connections
    configuration.keep_alive = True  # a watch may be silent for minutes, and its server gone without a word
    configuration.retries = False  # what is tried again, and when, is decided above
    # Its token is refreshed with each request, and with that the proxy of the environment would be looked up anew, in whatever thread: a
    # KeyError if another one changes the environment meanwhile. A proxy that is set is left as it is.
    configuration.proxy = configuration.proxy
    return ApiClient(configuration)
