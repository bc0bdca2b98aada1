"""Connect to the API server by the Pod's service account, else by a kubeconfig. Tokens are read again
regularly, because they expire after an hour."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException
from kubernetes.config.incluster_config import InClusterConfigLoader

from certmill.errors import HomeUnavailable
from certmill.observe.log import get_logger

log = get_logger(__name__)

IN_CLUSTER_VARIABLE = "KUBERNETES_SERVICE_HOST"
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_SECONDS: Final = 60.0


class _Token:
    """Hook of the official client that reads the service account's token. The client's own hook uses the wall
    clock: if the clock is set back by hours, it would keep an expired token."""

    def __init__(self, file: Path, monotonic: Callable[[], float]) -> None:
        self._file = file
        self._monotonic = monotonic
        self._read_at: float | None = None

    def __call__(self, configuration: Configuration) -> None:
        now = self._monotonic()
        if self._read_at is not None and now - self._read_at < TOKEN_SECONDS:
            return
        token = self._file.read_text().strip()
        if not token:
            raise ConfigException(f"{self._file} is empty")
        configuration.api_key["BearerToken"] = f"Bearer {token}"
        self._read_at = now


def connect(
    *,
    kubeconfig: Path | None = None,
    connections: int = 64,
    account: Path = SERVICE_ACCOUNT,
    monotonic: Callable[[], float] = time.monotonic,
) -> ApiClient:
    """The official client for this Pod's API server, or for `kubeconfig` (default: $KUBECONFIG,
    ~/.kube/config). Sends nothing.

    Raises HomeUnavailable when there is no usable configuration.
    """
    configuration = Configuration()
    try:
        if kubeconfig is None and os.environ.get(IN_CLUSTER_VARIABLE):
            _load_account(configuration, account, monotonic)
        else:
            file = str(kubeconfig) if kubeconfig is not None else None
            config.load_kube_config(config_file=file, client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        why = " ".join(str(error).split())[:200]
        problem = (
            f"the kubeconfig {kubeconfig} of CERTMILL_KUBECONFIG cannot be used: {why}"
            if kubeconfig is not None
            else f"no Kubernetes API server is configured: {why}; run in a Pod, or set CERTMILL_KUBECONFIG"
        )
        raise HomeUnavailable(problem) from error
    configuration.connection_pool_maxsize = connections
    configuration.keep_alive = True  # TCP keep-alive detects a dead server during a silent watch
    configuration.retries = False  # callers decide about retries
    # The client refreshes the token at each request, and reads the proxy from the environment at the same
    # time. That raises KeyError if another thread changes the environment. Setting the proxy here prevents
    # it.
    configuration.proxy = configuration.proxy
    if not configuration.verify_ssl:
        _warn_of_insecurity()
    return ApiClient(configuration)


@functools.cache
def _warn_of_insecurity() -> None:
    """Log one warning for the process, instead of urllib3's warning for each request."""
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    log.warning(
        "kubernetes.insecure",
        problem=(
            "the kubeconfig has insecure-skip-tls-verify: a machine between certmill and the API server can "
            "read every Secret"
        ),
        advice="set certificate-authority-data to the API server's CA, and remove insecure-skip-tls-verify",
    )


def _load_account(configuration: Configuration, account: Path, monotonic: Callable[[], float]) -> None:
    token, roots = account / "token", account / "ca.crt"
    untyped = cast("Any", configuration)
    loader = InClusterConfigLoader(token_filename=token, cert_filename=roots, try_refresh_token=False)  # type: ignore[no-untyped-call]
    loader.load_and_set(untyped)  # type: ignore[no-untyped-call]
    untyped.refresh_api_key_hook = _Token(token, monotonic)
    untyped.refresh_api_key_hook(untyped)
