"""The self check where nginx redirects the challenge to HTTPS and has no certificate there yet."""

from __future__ import annotations

import time

import pytest

from certmill.http01.selfcheck import Probe, probe
from compose.servers.nginx import Nginx

HOST, TOKEN = "shop.example.test", "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
KEY_AUTHORIZATION = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
REDIRECTED = f"{HOST} answered with a redirect that does not lead to the key authorization"


@pytest.fixture
def nginx(tmp_path):
    with Nginx(directory=tmp_path) as nginx:
        yield nginx


def found(nginx, *, to):
    """What the self check finds where all requests for HOST are redirected to this host by HTTPS, which
    refuses the handshake."""
    moved = f"return 301 https://{to}:{{tls_port}}$request_uri;"
    nginx.configure(f"server {{ listen 127.0.0.1:{{port}}; server_name {HOST}; {moved} }}")
    deadline = time.monotonic() + 30
    while (seen := look(nginx)).reason.endswith("not the key authorization"):  # 404: nginx has yet to reload
        assert time.monotonic() < deadline
    return seen


def look(nginx):
    ports = {"port": nginx.port, "tls_port": nginx.tls_port}
    return probe(HOST, TOKEN, KEY_AUTHORIZATION, addresses=lambda host, **_: ("127.0.0.1",), **ports)


def test_a_redirect_to_https_of_the_host_that_refuses_the_handshake_is_distinguished(nginx):
    assert found(nginx, to="$host") == Probe(ok=False, reason=REDIRECTED, handshake_failed=True)


def test_what_another_host_does_with_a_handshake_is_nobodys_business(nginx):
    assert found(nginx, to="other.example.test") == Probe(ok=False, reason=REDIRECTED)
