"""Runs tests behind the NGINX Ingress Controller itself, where its files are installed (see
compose.servers.cluster.nginx_ingress). Elsewhere the tests use the small ingress controller of tests/support.

The network namespace belongs to this run alone, so the responder and the shop answer at the addresses that
the cluster has for them."""

from __future__ import annotations

import contextlib
import http.server
import subprocess
import threading

from certmill.kube.resources import ENDPOINT_SLICES, SERVICES
from compose.servers import require
from compose.servers.cluster.nginx_ingress import HTTP_PORT, TLS_PORT, NginxIngress
from tests.support.kube_lab import RESPONDER, KubeLab
from tests.support.nginx_servers import SHOP

_SHOP = "192.0.2.81"


def add_address(address):
    """Make it this machine's, if it is not."""
    subprocess.run([require("ip"), "address", "replace", f"{address}/32", "dev", "lo"], check=True)


@contextlib.contextmanager
def answering(address, handler):
    """The port of a web server there."""
    with http.server.ThreadingHTTPServer((address, 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


class _Shop(http.server.BaseHTTPRequestHandler):
    """Serves what is asked for: tea for /tea."""

    def do_GET(self):
        body = self.path.removeprefix("/").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Nothing."""


class NginxIngressLab(KubeLab):
    """A KubeLab with the real one, and so with a real shop."""

    def start_front(self):
        for address in (RESPONDER, _SHOP):
            add_address(address)
        self.settings = self.settings | {"responder_host": "0.0.0.0"}
        self.shop_port = self._stack.enter_context(answering(_SHOP, _Shop))
        return HTTP_PORT, TLS_PORT

    def start_ingress_controller(self):
        controller = NginxIngress(directory=self.directory / "nginx-ingress", kube=self.kube)
        self.ingress_controller = self._stack.enter_context(controller)

    def apply(self, manifest, namespace=""):
        if manifest["kind"] in ("Ingress", "VirtualServer"):
            self._open_shop(namespace)
        return super().apply(manifest, namespace)

    def traces(self, namespace):
        return [found for found in super().traces(namespace) if found.partition(" ")[2] not in SHOP]

    def _open_shop(self, namespace):
        for name in SHOP:
            metadata = {"name": name, "namespace": namespace}
            service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
            self.client.apply(
                SERVICES,
                service | {"spec": {"ports": [{"port": 80, "targetPort": self.shop_port}]}},
                manager="tests",
            )
            slice_ = {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": metadata | {"labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv4",
                "ports": [{"port": self.shop_port}],
                "endpoints": [{"addresses": [_SHOP], "conditions": {"ready": True}}],
            }
            self.client.apply(ENDPOINT_SLICES, slice_, manager="tests")
