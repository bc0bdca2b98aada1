"""A minimal ingress controller: it configures nginx from the API's objects in the same way as the NGINX
Ingress Controller. The module nginx_servers translates the objects; it says which behaviour was measured
on the real controller. Pod addresses are addresses of this machine."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
from collections.abc import Mapping
from typing import Any, Self

from certmill.errors import CertmillError, InvalidManifest
from certmill.kube.client import KubeClient
from certmill.kube.resources import ENDPOINT_SLICES, INGRESSES, SECRETS, SERVICES, VIRTUAL_SERVERS, Resource
from compose.servers.nginx import Nginx
from tests.support.nginx_servers import Key, Objects, secrets_named, servers

_INTERVAL_SECONDS = 0.1


class IngressController:
    """Updates an Nginx from the API until it is stopped. `addresses`: where the server behind a Pod's
    address really listens. `cert_manager`: the flag -enable-cert-manager, without creating Certificates."""

    def __init__(
        self, client: KubeClient, nginx: Nginx, addresses: dict[str, str], *, cert_manager: bool = True
    ) -> None:
        self.cert_manager = cert_manager
        self._client = client
        self._nginx = nginx
        self._addresses = addresses
        self._slices: dict[Key, Any] = {}
        self._virtual_servers_are_served = False
        self._configured = ("", False)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL_SECONDS):
            try:
                wanted = (self._revision(), self.cert_manager)
                if wanted != self._configured:
                    self._nginx.configure(servers(self._objects(), cert_manager=self.cert_manager))
                    self._configured = wanted
            # OSError: a test limits the size of the files that this process may write
            except (CertmillError, OSError):
                continue

    def _revision(self) -> str:
        """Of everything in etcd. While it is the same no object has changed, and six lists need not be read
        ten times a second."""
        return next(self._client.pages(ENDPOINT_SLICES, metadata_only=True, page=1)).resource_version

    def _objects(self) -> Objects:
        # nginx does not notice that a slice is deleted: it keeps the former addresses.
        self._slices |= self._all(ENDPOINT_SLICES)
        self._virtual_servers_are_served = self._virtual_servers_are_served or self._client.serves(
            VIRTUAL_SERVERS
        )
        seen = Objects(
            ingresses=self._all(INGRESSES),
            virtual_servers=self._all(VIRTUAL_SERVERS) if self._virtual_servers_are_served else {},
            services=self._all(SERVICES),
            slices=self._slices,
            addresses=self._addresses,
        )
        seen.pairs = {key: file for key in secrets_named(seen) if (file := self._file(self._secret(*key)))}
        return seen

    def _secret(self, namespace: str, name: str) -> Mapping[str, Any]:
        """Read only the Secrets that are named. To list hundreds of them ten times a second would slow the
        tests down."""
        with contextlib.suppress(InvalidManifest):  # the name is not a valid object name
            return self._client.get(SECRETS, namespace, name) or {}
        return {}

    def _all(self, resource: Resource) -> dict[Key, Any]:
        found: list[Any] = list(self._client.list(resource).items)
        return {
            (one["metadata"]["namespace"], one["metadata"]["name"]): one | {"kind": resource.kind}
            for one in found
        }

    def _file(self, secret: Mapping[str, Any]) -> str | None:
        """A file with a Secret's pair; each pair has its own file. None without a pair."""
        data = secret.get("data", {})
        if secret.get("type") != "kubernetes.io/tls" or not (data.get("tls.crt") and data.get("tls.key")):
            return None
        pair = base64.b64decode(data["tls.crt"]) + base64.b64decode(data["tls.key"])
        path = self._nginx.directory / f"{hashlib.sha256(pair).hexdigest()}.pem"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(pair)
        return str(path)
