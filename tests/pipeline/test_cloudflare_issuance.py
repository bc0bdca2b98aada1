"""Certificates end to end through Cloudflare's API: Pebble and certmill's checks query the name server of
the fake."""

from __future__ import annotations

import pytest

from certmill.testing.cloudflare import FakeCloudflare, Permissions
from compose.local import LocalCertmill
from compose.servers.pebble import Pebble
from compose.servers.redis import RedisServer
from tests.support.lab import Lab

TOKEN = "right-token_0123456789012345678901234567"
WRONG_TOKEN = "wrong-token_0123456789012345678901234567"
ZONE = "cf.test"
CHALLENGE = f"_acme-challenge.{ZONE}"


class CloudflareLab(Lab):
    """A lab whose zones are at the fake Cloudflare; a value is visible a second after it was written."""

    cloudflare: FakeCloudflare

    def __enter__(self):
        self.cloudflare = FakeCloudflare(
            zones=(ZONE, "wrong.test"), tokens={TOKEN: Permissions()}, visible_after_seconds=1.0
        )
        self.cloudflare.__enter__()
        self.pebble = Pebble(directory=self.directory / "pebble", dns=self.cloudflare.dns_address)
        self.pebble.start()
        settings = {
            "cloudflare_api_url": self.cloudflare.url,
            "recursive_nameservers": self.cloudflare.dns_address,
            "authoritative_port": str(self.cloudflare.dns_port),
        }
        self.certmill = LocalCertmill(
            directory=self.directory, redis_url=self.redis_url, settings=settings, spawn=self.spawn
        )
        self.runtime = self.certmill.open()
        return self

    def __exit__(self, *exception):
        self.certmill.stop()
        self.runtime.close()
        self.pebble.stop()
        self.cloudflare.__exit__(*exception)

    def apply_cloudflare_issuer(self, name, token):
        """A ClusterIssuer with DNS-01 by Cloudflare for every name."""
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{name}-token", "namespace": "cert-manager"},
            "stringData": {"token": token},
        }
        acme = self.at(self.pebble) | {
            "privateKeySecretRef": {"name": f"{name}-account"},
            "solvers": [
                {"dns01": {"cloudflare": {"apiTokenSecretRef": {"name": f"{name}-token", "key": "token"}}}}
            ],
        }
        issuer = {
            "apiVersion": "cert-manager.io/v1",
            "kind": "ClusterIssuer",
            "metadata": {"name": name},
            "spec": {"acme": acme},
        }
        self.apply(secret, issuer)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cloudflare")
    with (
        RedisServer(directory=directory / "redis") as redis,
        CloudflareLab(directory=directory, redis_url=redis.url) as lab,
    ):
        lab.apply_cloudflare_issuer("prod", TOKEN)
        lab.apply_cloudflare_issuer("wrong", WRONG_TOKEN)
        lab.certmill.start(responder=False)
        yield lab


def test_wildcard_and_apex_with_two_values_at_one_name_and_nothing_left(lab):
    lab.cloudflare.add(CHALLENGE, "somebody else's")

    leaf = lab.issue("wild", f"*.{ZONE}", ZONE, timeout=60)

    assert set(leaf.dns_names) == {f"*.{ZONE}", ZONE}
    written = [path for method, path in lab.cloudflare.requests if method == "POST"]
    assert len(written) == 2
    lab.until(lambda: lab.cloudflare.records(CHALLENGE) == ["somebody else's"], what="our values are gone")


def test_a_wrong_token_fails_with_what_to_do_until_the_secret_is_right(lab):
    handle = lab.request("denied", "www.wrong.test", issuer="wrong")

    status = lab.until(lambda: (found := handle.status()) and "DNS:Edit" in found.reason and found)
    assert "Cloudflare refuses our API token" in status.reason
    assert "wrong.test" in status.reason
    assert WRONG_TOKEN not in status.reason
    assert WRONG_TOKEN not in lab.certmill.log_of("worker1")

    lab.apply_cloudflare_issuer("wrong", TOKEN)
    lab.certmill.client().renew("denied").wait(60)

    assert lab.leaf("denied").dns_names == ("www.wrong.test",)
