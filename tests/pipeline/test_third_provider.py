"""A certificate through a DNS-01 provider of another Python package, with two Secrets. The package adds
only one module and one entry point."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from compose.servers.redis import RedisServer
from tests.support import keyed_update
from tests.support.lab import TSIG_SECRET, Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("third")
    distribution = directory / "distribution"
    distribution.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(keyed_update.install(distribution)), prepend=os.pathsep)
        with (
            RedisServer(directory=directory / "redis") as redis,
            Lab(directory=directory, redis_url=redis.url) as lab,
        ):
            lab.certmill.start(responder=False)
            yield lab


def command(lab, *arguments, text=""):
    """The output of the command."""
    done = subprocess.run(
        [Path(sys.executable).with_name("certmill"), *arguments],
        input=text,
        env=os.environ | lab.certmill.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def secret(name, key, value):
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "cert-manager"},
        "stringData": {key: value},
    }


def test_a_certificate_is_issued_through_it_and_the_command_shows_it(lab):
    provider = {
        "server": lab.bind.address,
        "keyNameSecretRef": {"name": "third-name", "key": "name"},
        "keySecretRef": {"name": "third-key", "key": "secret"},
    }
    acme = lab.at(lab.pebble) | {
        "privateKeySecretRef": {"name": "third-account"},
        "solvers": [{"dns01": {"keyedUpdate": provider}}],
    }
    issuer = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "ClusterIssuer",
        "metadata": {"name": "third"},
        "spec": {"acme": acme},
    }
    manifests = [secret("third-name", "name", "certmill"), secret("third-key", "secret", TSIG_SECRET), issuer]
    command(lab, "apply", "-f", "-", text=yaml.safe_dump_all(manifests))

    leaf = lab.issue("web", "web.example.test", issuer="third")

    assert leaf.dns_names == ("web.example.test",)
    shown = yaml.safe_load(command(lab, "get", "clusterissuer", "third", "-o", "yaml"))
    assert shown["spec"]["acme"]["solvers"] == [{"dns01": {"keyedUpdate": provider}}]
    assert f"keyed updates, {lab.bind.address}" in command(lab, "describe", "clusterissuer", "third")
