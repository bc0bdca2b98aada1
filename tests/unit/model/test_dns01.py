"""Which DNS-01 providers a manifest may name: those of certmill, and those of other distributions. Each
program here is a process of its own: providers are looked for once a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from certmill.model.manifests.issuer.dns01 import providers
from tests.support import keyed_update

READ = """
import sys
from certmill.errors import InvalidManifest
from certmill.model.manifests.parse import parse_documents
documents, wrong = parse_documents(sys.stdin.read(), source="x")
print(*(document.value.solvers[0].dns01.provider for document in documents))
print(*wrong)
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"dns", "requests", "urllib3"}))
"""
ISSUER = """
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: prod}
spec:
  acme:
    server: https://ca.example.com/directory
    privateKeySecretRef: {name: prod-account}
    solvers: [{dns01: %s}]
"""
KEYED = (
    "{keyedUpdate: {server: 192.0.2.1, keyNameSecretRef: {name: a, key: n}, keySecretRef: {name: b, key: k}}}"
)


def read(dns01: str, *, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What a process with this distribution on its path makes of a solver: the provider, the errors, and the
    libraries that it imported."""
    root = Path(__file__).parents[3]
    return subprocess.run(
        [sys.executable, "-c", READ],
        input=ISSUER % dns01,
        env={"PYTHONPATH": f"{root}:{path}" if path else str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def third_party(tmp_path):
    return keyed_update.install(tmp_path)


def test_certmill_has_cloudflare_and_rfc2136():
    assert sorted(providers()) == ["cloudflare", "rfc2136"]


def test_a_provider_of_another_distribution_is_read(third_party):
    read_with, read_without = read(KEYED, path=third_party), read(KEYED)

    config, wrong, imported = read_with.stdout.splitlines()
    assert config.startswith("KeyedUpdate(server='192.0.2.1', key_name=SecretKeyRef(name='a', key='n')")
    assert wrong == ""
    assert imported == "dns"  # the module of the test imports its client at once
    assert "keyedUpdate" in read_without.stdout
    assert "is not a known field here" in read_without.stdout


@pytest.mark.parametrize(
    ("dns01", "says"),
    [
        (KEYED.replace("keySecretRef", "keySecret"), "keyedUpdate.keySecret: is not a known field here"),
        (KEYED.replace("192.0.2.1", '""'), "keyedUpdate.server: must not be empty"),
        (KEYED.replace("keyedUpdate", "keyedUpdat"), "did you mean keyedUpdate?"),
        (
            "{digitalocean: {tokenSecretRef: {name: a, key: b}}}",
            "cloudflare and keyedUpdate and rfc2136",
        ),
    ],
)
def test_its_fields_are_checked_and_offered_as_those_of_certmill(third_party, dns01, says):
    assert says in read(dns01, path=third_party).stdout


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("no_such_module:Schema", "cannot be loaded: No module named 'no_such_module'"),
        (
            "certmill_keyed_update:Nothing",
            "module 'certmill_keyed_update' has no attribute",
        ),
        ("certmill_keyed_update:KeyedUpdate", "is not a DNS-01 provider: it must name a ProviderSchema"),
        (
            "certmill.dns01.providers.rfc2136:Rfc2136Schema",
            "has the field rfc2136 of another DNS-01 provider: rename its field",
        ),
    ],
)
def test_an_entry_point_that_is_no_provider_is_an_error_with_its_name(tmp_path, value, says):
    failed = read(KEYED, path=keyed_update.install(tmp_path, value))

    assert failed.returncode == 1
    last = failed.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: the entry point keyedUpdate of certmill.dns01 ({value}) ")
    assert says in last


def test_the_clients_of_our_providers_are_not_imported_by_reading():
    dns01 = "{rfc2136: {nameserver: 192.0.2.1}}"

    assert read(dns01).stdout.splitlines()[2] == ""
