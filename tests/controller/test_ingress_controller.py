"""What was measured on the NGINX Ingress Controller, and what certmill's objects are made for. The small one
here has to do the same."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import time

import pytest

from certmill.http01 import service
from certmill.http01.ingress import challenge_path
from certmill.kube.objects import rfc3339
from certmill.kube.resources import ENDPOINT_SLICES, INGRESSES, SECRETS, SERVICES, VIRTUAL_SERVERS
from certmill.testing.localhost import make_local_tls
from compose.servers.cluster import nginx_ingress
from compose.servers.nginx import Nginx
from tests.controller.cafe import ask
from tests.controller.nginx_ingress_lab import add_address, answering
from tests.support.cluster import client_of
from tests.support.ingress_controller import IngressController
from tests.support.kube_lab import RESPONDER
from tests.support.nginx_servers import Objects, servers
from tests.support.virtual_servers import serve_virtual_servers
from tests.support.waiting import until

CHALLENGE = "/.well-known/acme-challenge/token"


class Answering(http.server.BaseHTTPRequestHandler):
    """A responder that says what host it was asked for."""

    def do_GET(self):
        body = f"answer for {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Nothing."""


class Front:
    """nginx and its controller, with a responder behind them."""

    def __init__(self, client, http_port, tls_port, controller, responder_port):
        self.client = client
        self.http_port, self.tls_port = http_port, tls_port
        self.controller = controller
        self.responder_port = responder_port

    def apply(self, resource, namespace, body):
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        return self.client.apply(
            resource, kind | body | {"metadata": body["metadata"] | {"namespace": namespace}}, manager="tests"
        )

    def lead(self, namespace, *, slice_port=0, **endpoint):
        """What certmill makes of the responder in a namespace, with another port in the slice or an endpoint
        changed by `endpoint`."""
        self.client.apply(SERVICES, service.responder_service(namespace, self.responder_port))
        slice_ = service.responder_slice(namespace, [RESPONDER], slice_port or self.responder_port)
        slice_["endpoints"] = [slice_["endpoints"][0] | endpoint]
        self.client.apply(ENDPOINT_SLICES, slice_)

    def until(self, host, path, status, *, tls=False):
        """Until this is the answer."""
        return until(
            lambda: (found := ask(self, host, path, tls=tls)).status == status and found,
            what=f"{status} for {host}{path}",
        )

    def settle(self, namespace):
        """Until all that was applied before has been seen, and what comes next is younger by the API's clock,
        which counts seconds."""
        host = f"settled-{len(self.client.list(INGRESSES, namespace).items)}.{namespace}.test"
        made = self.apply(INGRESSES, namespace, ingress(host, name=host))["metadata"]["creationTimestamp"]
        until(lambda: rfc3339(time.time()) > made, pause=0.02)
        until(
            lambda: ask(self, host, "/").status != 404 or ask(self, host, CHALLENGE).status != 404,
            what=f"{host} is known",
        )


@pytest.fixture(scope="module")
def front(empty_kube, tmp_path_factory):
    serve_virtual_servers(empty_kube)
    client = client_of(empty_kube)
    directory = tmp_path_factory.mktemp("nginx")
    if nginx_ingress.is_wanted():
        add_address(RESPONDER)
        with (
            answering(RESPONDER, Answering) as port,
            nginx_ingress.NginxIngress(directory=directory, kube=empty_kube) as real,
        ):
            yield Front(client, nginx_ingress.HTTP_PORT, nginx_ingress.TLS_PORT, real, port)
        return
    with (
        Nginx(directory=directory) as nginx,
        answering("127.0.0.1", Answering) as port,
        IngressController(client, nginx, {RESPONDER: f"127.0.0.1:{port}"}) as controller,
    ):
        yield Front(client, nginx.port, nginx.tls_port, controller, port)


def ingress(host, *, name="one", port=None, labels=None, **spec):
    """An Ingress with the challenge's path alone."""
    backend = {"service": {"name": service.SERVICE_NAME, "port": port or {"number": service.SERVICE_PORT}}}
    path = challenge_path("token") | {"backend": backend}
    rules = [{"host": host, "http": {"paths": [path]}}]
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"ingressClassName": "nginx", "rules": rules} | spec,
    }


def virtual_server(host, **tls):
    """A VirtualServer that answers /tea by itself."""
    routes = [{"path": "/tea", "action": {"return": {"body": "tea"}}}]
    return {
        "metadata": {"name": "one"},
        "spec": {"host": host, "routes": routes} | ({"tls": tls} if tls else {}),
    }


SOLVER = {"acme.cert-manager.io/http01-solver": "true"}


def tls_secret(name):
    pair = make_local_tls()
    return {
        "metadata": {"name": name},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()},
    }


def test_an_ingress_with_tls_redirects_challenges_to_https_until_its_secret_is_there(front, namespace):
    host = f"{namespace}.test"
    front.lead(namespace)
    front.apply(INGRESSES, namespace, ingress(host, tls=[{"hosts": [host], "secretName": "pair"}]))

    assert front.until(host, CHALLENGE, 301).location == f"https://{host}:{front.tls_port}{CHALLENGE}"
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        ask(front, host, CHALLENGE, tls=True)

    front.apply(SECRETS, namespace, tls_secret("pair"))

    def is_served():
        with contextlib.suppress(ssl.SSLError):
            return ask(front, host, CHALLENGE, tls=True).body

    assert until(is_served, what="the handshake").startswith(f"answer for {host}")


def test_a_virtual_server_redirects_to_https_only_if_its_spec_says_so(front, namespace):
    plain, moving = f"plain.{namespace}.test", f"moving.{namespace}.test"
    front.apply(VIRTUAL_SERVERS, namespace, virtual_server(plain, secret="missing"))
    moving_one = virtual_server(moving, secret="missing", redirect={"enable": True})
    front.apply(VIRTUAL_SERVERS, namespace, moving_one | {"metadata": {"name": "other"}})

    assert front.until(plain, "/tea", 200).body == "tea"
    front.until(moving, "/tea", 301)


def test_a_virtual_server_with_cert_manager_is_not_served_unless_the_flag_is_on(front, namespace):
    host = f"{namespace}.test"
    front.controller.cert_manager = False
    try:
        front.apply(
            VIRTUAL_SERVERS,
            namespace,
            virtual_server(host, secret="pair", **{"cert-manager": {"cluster-issuer": "x"}}),
        )
        front.settle(namespace)
        assert ask(front, host, "/tea").status == 404
    finally:
        front.controller.cert_manager = True

    front.until(host, "/tea", 200)


def test_a_slice_needs_the_services_target_port_and_a_ready_endpoint(front, namespace):
    host = f"{namespace}.test"
    front.lead(namespace, conditions={})
    front.apply(INGRESSES, namespace, ingress(host))
    front.until(host, CHALLENGE, 502)

    front.lead(namespace)
    front.until(host, CHALLENGE, 200)

    front.lead(namespace, slice_port=1)
    front.until(host, CHALLENGE, 502)


def test_a_slice_that_is_deleted_goes_unnoticed_and_one_that_is_emptied_does_not(front, namespace):
    host, name = f"{namespace}.test", service.slice_name("IPv4")
    front.lead(namespace)
    front.apply(INGRESSES, namespace, ingress(host))
    front.until(host, CHALLENGE, 200)

    front.client.delete(ENDPOINT_SLICES, namespace, name)
    front.settle(namespace)
    assert ask(front, host, CHALLENGE).status == 200

    front.client.apply(ENDPOINT_SLICES, service.responder_slice(namespace, (), front.responder_port))
    front.until(host, CHALLENGE, 502)


@pytest.mark.parametrize("wildcard", ["", "*."])
def test_the_path_of_one_token_leads_no_other(front, namespace, wildcard):
    front.lead(namespace)
    front.apply(INGRESSES, namespace, ingress(f"{wildcard}{namespace}.test"))

    for host in (f"a.{namespace}.test", f"b.{namespace}.test") if wildcard else (f"{namespace}.test",):
        front.until(host, CHALLENGE, 200)
        assert ask(front, host, "/.well-known/acme-challenge/another").status == 404


def test_a_solver_ingress_becomes_a_route_of_its_virtual_server_only_with_its_label(front, namespace):
    host = f"{namespace}.test"
    front.lead(namespace)
    front.apply(VIRTUAL_SERVERS, namespace, virtual_server(host))
    front.until(host, "/tea", 200)
    front.settle(namespace)

    front.apply(INGRESSES, namespace, ingress(host))
    front.settle(namespace)
    assert ask(front, host, CHALLENGE).status == 404

    front.apply(INGRESSES, namespace, ingress(host, labels=SOLVER))
    front.until(host, CHALLENGE, 200)
    assert ask(front, host, "/tea").body == "tea"


def test_a_solver_ingress_is_ignored_with_a_named_port_no_class_or_a_host_in_use(front, namespace):
    named, classless, taken = (f"{name}.{namespace}.test" for name in ("named", "classless", "taken"))
    front.lead(namespace)
    front.apply(INGRESSES, namespace, ingress(named, name="named", labels=SOLVER, port={"name": "http"}))
    front.apply(
        INGRESSES, namespace, ingress(classless, name="classless", labels=SOLVER, ingressClassName=None)
    )
    users = ingress(taken, name="users")
    users["spec"]["rules"][0]["http"]["paths"][0]["path"] = "/other"
    front.apply(INGRESSES, namespace, users)
    front.until(taken, "/other", 200)
    front.settle(namespace)
    front.apply(INGRESSES, namespace, ingress(taken, name="solver", labels=SOLVER))
    front.settle(namespace)

    assert [ask(front, host, CHALLENGE).status for host in (named, classless, taken)] == [404, 404, 404]


def test_large_and_nested_objects_do_not_block_a_small_one():
    """What the API server takes from anybody: no ports in a slice or a Service, no labels, an address of
    nobody, no host, no rules."""

    def key_and(name, spec, **more):
        metadata = {
            "namespace": "n",
            "name": name,
            "uid": name,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        } | more.pop("metadata", {})
        return {("n", name): {"metadata": metadata, "spec": spec} | more}

    def a_slice(name, **more):
        labels = {"labels": {"kubernetes.io/service-name": service.SERVICE_NAME}}
        return key_and(name, {}, **({"metadata": labels, "ports": [{"port": 1}]} | more))

    good = ingress("good.test", name="good")["spec"]
    leads_nowhere = ingress("other.test", name="other", port={"number": 1})["spec"]
    of_another = [{"addresses": ["192.0.2.99"], "conditions": {"ready": True}}]
    objects = Objects(
        ingresses=key_and("good", good, kind="Ingress")
        | key_and("other", leads_nowhere, kind="Ingress")
        | key_and("no-rules", {"ingressClassName": "nginx"}, kind="Ingress", metadata={"labels": SOLVER}),
        virtual_servers=key_and("no-host", {}, kind="VirtualServer")
        | key_and("no-action", {"host": "vs.test", "routes": [{"path": "/"}]}, kind="VirtualServer"),
        services=key_and(service.SERVICE_NAME, {"ports": [{"port": service.SERVICE_PORT, "targetPort": 1}]})
        | key_and("no-ports", {}),
        slices=a_slice("a", ports=None)
        | a_slice("b", metadata={})
        | a_slice("c", endpoints=None)
        | a_slice("d", endpoints=of_another),
    )

    served = servers(objects, cert_manager=True)

    assert all(f"server_name {host};" in served for host in ("good.test", "other.test", "vs.test"))
    assert "proxy_pass http://127.0.0.1:1;" in served
