"""Where the API server is: the Pod's service account, else a kubeconfig. Tokens are read anew, as they live
for an hour."""

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
    """The hook by which the official client asks for a service account's token. Its own goes by the wall
    clock: after a step of that for hours back, it would keep a token until long after its end."""

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
        raise HomeUnavailable(
            f"no way to a Kubernetes API server: {' '.join(str(error).split())[:200]}; run in a Pod, or set "
            "CERTMILL_KUBECONFIG"
        ) from error
    configuration.connection_pool_maxsize = connections
    configuration.keep_alive = True  # a watch may be silent for minutes, and its server gone without a word
    configuration.retries = False  # what is tried again, and when, is decided above
    # Its token is refreshed with each request, and with that the proxy of the environment would be looked up
    # anew, in whatever thread: a KeyError if another one changes the environment meanwhile. A proxy that is
    # set is left as it is.
    configuration.proxy = configuration.proxy
    if not configuration.verify_ssl:
        _warn_of_insecurity()
    return ApiClient(configuration)


@functools.cache
def _warn_of_insecurity() -> None:
    """Once a process, in place of urllib3's warning at each request, of which a worker would log
    thousands."""
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
