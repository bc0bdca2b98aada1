"""Runs the real NGINX Ingress Controller with an API server, for the tests that need an ingress controller.

CERTMILL_NGINX_INGRESS is a directory with the files of its image: the program `nginx-ingress`, its templates
(nginx*.tmpl), `njs/*.js` for /etc/nginx/njs, `crds/*.yaml`. It also has `modules/*.so` with njs (http) and
stream for the nginx of this machine. Without the variable the tests use their own small ingress controller.

The controller uses fixed paths of the machine, /etc/nginx among them, so it runs in its own mount namespace.
It listens on ports 80 and 443 of every address, so it starts only as root where loopback is the only network
interface: `unshare -n`, with `lo` up.
"""

from __future__ import annotations

import os
import shutil
import socket
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from compose.servers import MissingServer, require
from compose.servers.cluster.kubernetes import KubeApiServer
from compose.servers.process import Server, ServerProcess

HTTP_PORT: Final = 80
TLS_PORT: Final = 443

_VARIABLE: Final = "CERTMILL_NGINX_INGRESS"
_READY: Final = "http://127.0.0.1:8081/nginx-ready"
_NAMESPACE: Final = "nginx-ingress"
_NAME: Final = "controller"
_ACCOUNT: Final = "secrets/kubernetes.io/serviceaccount"
_MODULES: Final = Path("/usr/lib/nginx/modules")
_PLACES: Final = {"etc": "/etc/nginx", "var": "/var/lib/nginx", "modules": str(_MODULES), "run": "/run"}
_IN_PLACES: Final = 'set -e; while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done; shift; exec "$@"'
_OPTIONS: Final = (
    f"-nginx-configmaps={_NAMESPACE}/{_NAME}",
    "-enable-telemetry-reporting=false",
    "-enable-leader-election=false",
    "-nginx-status=false",
    "-disable-ipv6",
)
_MAIN: Final = "load_module modules/ngx_stream_module.so;\nuser root;"
"""Debian's nginx has stream as a module. nginx' workers read the files of the Secrets, which only root may
read here."""


def is_wanted() -> bool:
    """Whether CERTMILL_NGINX_INGRESS is set."""
    return _VARIABLE in os.environ


def find_nginx_ingress() -> Path:
    """The directory with the program. Raises MissingServer, also if the controller could not run here without
    a change to the machine."""
    directory = Path(os.environ.get(_VARIABLE, ""))
    if not (directory / "nginx-ingress").is_file():
        raise MissingServer(
            "nginx-ingress", f"{_VARIABLE} is to be a directory with the NGINX Ingress Controller's program"
        )
    if os.geteuid() != 0 or {name for _, name in socket.if_nameindex()} != {"lo"}:
        raise MissingServer(
            "nginx-ingress",
            "run this as root in `unshare -n`, with `ip link set lo up`: it listens on every address",
        )
    return directory.resolve()


@dataclass(kw_only=True)
class NginxIngress(Server):
    """The running controller with its nginx. It handles Ingresses of the class `nginx`, and
    VirtualServers."""

    directory: Path
    kube: KubeApiServer
    _cert_manager: bool = field(default=True, init=False)
    _process: ServerProcess = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._process = ServerProcess("nginx-ingress", log=self.directory / "nginx-ingress.log")

    def start(self) -> None:
        """Install the CRDs and objects that the controller needs, and start it. Raises MissingServer,
        ServerFailed."""
        self._prepare_api(find_nginx_ingress())
        self._prepare_places(find_nginx_ingress())
        self._start()

    @property
    def cert_manager(self) -> bool:
        """The option -enable-cert-manager. A new value restarts the controller."""
        return self._cert_manager

    @cert_manager.setter
    def cert_manager(self, on: bool) -> None:
        self._process.stop()
        self._cert_manager = on
        self._start()

    def _start(self) -> None:
        environment = {
            "POD_NAMESPACE": _NAMESPACE,
            "POD_NAME": _NAME,
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.kube.port),
        }
        files = find_nginx_ingress()
        options = [*_OPTIONS, f"-enable-cert-manager={str(self._cert_manager).lower()}"]
        options += [f"-{kind}-template-path={files / name}" for kind, name in _TEMPLATES.items()]
        places = [part for own, place in _PLACES.items() for part in (self.directory / own, place)]
        command = [
            require("unshare"),
            "--mount",
            "sh",
            "-c",
            _IN_PLACES,
            "sh",
            *places,
            "--",
            files / "nginx-ingress",
            *options,
        ]
        self._process.start(command, answers=_is_ready, environment=environment, timeout_seconds=60.0)

    def _prepare_api(self, files: Path) -> None:
        for file in sorted((files / "crds").glob("k8s.nginx.org_*.yaml")):
            body = yaml.safe_load(file.read_text())
            self.kube.api.apply(
                f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{body['metadata']['name']}", body
            )
        for path, body in _OBJECTS.items():
            self.kube.api.apply(path, body)

    def _prepare_places(self, files: Path) -> None:
        """Create the directories that are mounted over the fixed paths in the controller's mount
        namespace."""
        etc, account = self.directory / "etc", self.directory / "run" / _ACCOUNT
        for directory in (
            *(etc / name for name in ("conf.d", "secrets", "stream-conf.d")),
            self.directory / "var",
            account,
        ):
            directory.mkdir(parents=True, exist_ok=True)
        shutil.copy("/etc/nginx/mime.types", etc)
        shutil.copytree(files / "njs", etc / "njs", dirs_exist_ok=True)
        for modules in (_MODULES, files / "modules"):
            shutil.copytree(modules, self.directory / "modules", dirs_exist_ok=True)
        (account / "token").write_text(self.kube.admin_token)
        shutil.copy(self.kube.ca_file, account / "ca.crt")


def _is_ready() -> bool:
    try:
        with urllib.request.urlopen(_READY, timeout=2.0) as response:
            return bool(response.status == 200)
    except OSError:
        return False


_TEMPLATES: Final = {
    "main": "nginx.tmpl",
    "ingress": "nginx.ingress.tmpl",
    "virtualserver": "nginx.virtualserver.tmpl",
    "transportserver": "nginx.transportserver.tmpl",
}

_METADATA: Final = {"name": _NAME, "namespace": _NAMESPACE}
_OWNER: Final = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "name": _NAME,
    "uid": "00000000-0000-0000-0000-000000000001",
}
_OBJECTS: Final[dict[str, dict[str, Any]]] = {
    f"/api/v1/namespaces/{_NAMESPACE}": {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": _NAMESPACE},
    },
    "/apis/networking.k8s.io/v1/ingressclasses/nginx": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "nginx"},
        "spec": {"controller": "nginx.org/ingress-controller"},
    },
    f"/api/v1/namespaces/{_NAMESPACE}/configmaps/{_NAME}": {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _METADATA,
        "data": {"main-snippets": _MAIN, "worker-processes": "1"},
    },
    # The controller reads the owner of its Pod.
    f"/api/v1/namespaces/{_NAMESPACE}/pods/{_NAME}": {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _METADATA | {"ownerReferences": [_OWNER]},
        "spec": {"containers": [{"name": _NAME, "image": "nginx-ingress"}]},
    },
}
