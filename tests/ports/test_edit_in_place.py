"""What nginx makes of an Ingress that is edited in place: it refuses a configuration with two locations that
are the same."""

from __future__ import annotations

import http.client
import time

import pytest

from certmill.http01.edit_in_place import with_challenge_path, without_challenge_path
from certmill.http01.ingress import challenge_path
from certmill.kube.resources import INGRESSES
from compose.servers.nginx import Nginx
from tests.support.nginx_servers import Objects, servers

HOST, TOKEN = "shop.example.test", "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
PATH = challenge_path(TOKEN)["path"]


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    with Nginx(directory=tmp_path_factory.mktemp("nginx")) as nginx:
        yield nginx


def an_ingress(backend):
    """The user's, with a path of this token that somebody has left there or led elsewhere."""
    paths = [
        {
            "path": "/tea",
            "pathType": "Prefix",
            "backend": {"service": {"name": "tea-svc", "port": {"number": 80}}},
        },
        {
            "path": PATH,
            "pathType": "Exact",
            "backend": {"service": {"name": backend, "port": {"number": 8089}}},
        },
    ]
    metadata = {"name": "shop", "namespace": "n", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
    spec = {"ingressClassName": "nginx", "rules": [{"host": HOST, "http": {"paths": paths}}]}
    return {"apiVersion": INGRESSES.api_version, "kind": INGRESSES.kind, "metadata": metadata, "spec": spec}


def configuration(*ingresses):
    """nginx' servers for them, as the ingress controllers make them."""
    return servers(
        Objects(ingresses={("n", str(number)): one for number, one in enumerate(ingresses)}),
        cert_manager=False,
    )


def ask(nginx, path):
    connection = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": HOST})
        return connection.getresponse().status
    finally:
        connection.close()


def settles(nginx, path, status):
    """Whether nginx comes to answer so; a reload takes a moment, and one that is refused changes nothing."""
    deadline = time.monotonic() + 30
    while ask(nginx, path) != status:
        if time.monotonic() > deadline:
            return False
    return True


def refused(nginx):
    """What nginx did not take."""
    return [line for line in (nginx.directory / "error.log").read_text().splitlines() if "[emerg]" in line]


@pytest.mark.parametrize(
    "backend", ["cm-acme-http-solver-x7k2p", "tea-svc"], ids=["cert-manager's", "changed"]
)
def test_nginx_takes_an_ingress_in_which_a_path_of_the_token_was_left(nginx, backend):
    edited = with_challenge_path(an_ingress(backend), HOST, "web", TOKEN)

    nginx.configure(configuration(edited))
    assert settles(nginx, PATH, 502)  # led to the responder's Service, which has no addresses here
    assert settles(nginx, "/tea", 200)
    assert refused(nginx) == []

    nginx.configure(configuration(without_challenge_path(edited, HOST, "web")))
    assert settles(nginx, PATH, 404)
    assert settles(nginx, "/tea", 200)
    assert refused(nginx) == []


def test_nginx_refuses_two_paths_that_are_the_same(nginx):
    """So that the test above can fail."""
    doubled = an_ingress("tea-svc")
    doubled["spec"]["rules"][0]["http"]["paths"].append(challenge_path(TOKEN))

    nginx.configure(configuration(doubled))

    deadline = time.monotonic() + 30
    while not refused(nginx):
        assert time.monotonic() < deadline
    assert "duplicate location" in refused(nginx)[0]
