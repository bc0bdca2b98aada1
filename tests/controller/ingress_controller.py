"""An ingress controller as small as can be: nginx, configured from the Ingresses, VirtualServers, Services and EndpointSlices of the API.

It does with them what the NGINX Ingress Controller does as far as was measured: an Ingress needs a class, a solver Ingress needs its label
and a port that is a number, a backend's addresses come from the slices that are ready. Addresses of responders are those of this machine.
"""

from __future__ import annotations

import threading

from certmill.errors import CertmillError
from certmill.kube.resources import ENDPOINT_SLICES, INGRESSES, SERVICES, VIRTUAL_SERVERS

_LOOK_SECONDS = 0.1


class IngressController:
    """Keeps an Nginx as the API says, until it is stopped. `addresses`: where a pod's address really answers."""

    def __init__(self, client, nginx, addresses):
        self._client = client
        self._nginx = nginx
        self._addresses = addresses
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join(10)

    def _run(self):
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                self._nginx.configure(self._servers())
            except CertmillError:
                continue

    def _servers(self):
        hosts: dict[str, list[str]] = {}
        for ingress in self._client.list(INGRESSES).items:
            meta, spec = ingress["metadata"], ingress["spec"]
            if not spec.get("ingressClassName") and "kubernetes.io/ingress.class" not in meta.get("annotations", {}):
                continue
            for rule in spec.get("rules", []):
                paths = rule.get("http", {}).get("paths", [])
                locations = [self._location(meta["namespace"], path["path"], path["backend"]["service"]) for path in paths]
                hosts.setdefault(rule.get("host", "_"), []).extend(locations)
        for one in self._client.list(VIRTUAL_SERVERS).items if self._client.serves(VIRTUAL_SERVERS) else ():
            routes = [f"location {route['path']} {{ return 200 '{route['action']['pass']}'; }}" for route in one["spec"].get("routes", [])]
            hosts.setdefault(one["spec"]["host"], []).extend(routes)
        return "\n".join(
            f"server {{ listen 127.0.0.1:{{port}}; server_name {host}; {' '.join(dict.fromkeys(locations))} }}"
            for host, locations in sorted(hosts.items())
        )

    def _location(self, namespace, path, service):
        target = self._target(namespace, service)
        if target is None:
            return f"location {path} {{ return 200 '{service['name']}'; }}"
        return f"location {path} {{ proxy_pass http://{target}; proxy_set_header Host $host; }}"

    def _target(self, namespace, service):
        """The real address behind a Service, if it has slices; the shop's own Services have none here, and answer with their name."""
        if self._client.get(SERVICES, namespace, service["name"]) is None:
            return None
        labels = f"kubernetes.io/service-name={service['name']}"
        for found in self._client.list(ENDPOINT_SLICES, namespace, labels=labels).items:
            for endpoint in found.get("endpoints") or ():
                if endpoint["conditions"]["ready"] is True:
                    return self._addresses[endpoint["addresses"][0]]
        return "127.0.0.1:1"
