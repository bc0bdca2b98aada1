"""What the command imports: each library here costs a user a tenth of a second or more. The time itself is in
`make bench`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.bench.startup import write_ready_home

NEVER = {
    "acme",
    "josepy",
    "celery",
    "kombu",
    "kubernetes",
    "dns",
    "requests",
    "structlog",
    "prometheus_client",
    "pydantic_settings",
}
SCRIPT = """
import sys
from certmill.cli import main
code = main(sys.argv[1:])
loaded = {*sys.modules, *(name.partition(".")[0] for name in sys.modules)}
print(code, *sorted(loaded & set(%r)), file=sys.stderr)
"""

ISSUER = """\
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: prod}
spec:
  acme:
    server: https://ca.example.com/directory
    privateKeySecretRef: {name: prod-account}
    solvers: [{http01: {ingress: {ingressClassName: nginx}}}]
"""


def imported(home, *arguments, among):
    """(exit code, which of these libraries and modules it imported) of the command in a process of its
    own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CERTMILL_")}
    environment = {**kept, "CERTMILL_HOME": str(home), "CERTMILL_REDIS_URL": "redis://127.0.0.1:1/0"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT % sorted(among), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    code, *found = done.stderr.splitlines()[-1].split()
    return int(code), set(found)


@pytest.fixture
def home(tmp_path):
    write_ready_home(tmp_path)
    return tmp_path


def test_get_of_what_is_ready_imports_neither_redis_nor_cryptography(home):
    among = {*NEVER, "redis", "cryptography", "rich", "urllib3"}

    assert imported(home, "get", "certificates", "--check", among=among) == (0, set())
    assert imported(home, "get", "certificates", "-o", "yaml", among=among) == (0, set())


UNNEEDED = {"ssl", "idna", "certmill.runs.facts", "certmill.views.causes"}
"""Of no use for certificates that are ready and issuers without a bundle of their own."""


def test_get_of_what_is_ready_imports_no_schema_of_a_kind_that_is_not_there(home):
    of_issuers = {
        f"certmill.model.manifests.{name}"
        for name in ("issuer.schema", "issuer.solver_schema", "issuer.rules", "schema_secret")
    }

    assert imported(home, "get", "certificates", among={*UNNEEDED, *of_issuers}) == (0, set())

    (home / "manifests" / "issuer.yaml").write_text(ISSUER)
    assert imported(home, "get", "certificates", among={*UNNEEDED, *of_issuers}) == (0, of_issuers)


def test_a_schema_is_built_when_its_first_manifest_is_read(home):
    program = """
import sys
from certmill.cli import main
from certmill.model.manifests.certificate.schema import CertificateManifest, IssuerRefSchema
from certmill.model.manifests.issuer.schema import IssuerManifest
schemas = (CertificateManifest, IssuerRefSchema, IssuerManifest)
print(*(schema.__pydantic_complete__ for schema in schemas), file=sys.stderr)
main(["--home", sys.argv[1], "get", "certificates"])
schemas = (CertificateManifest, IssuerRefSchema, IssuerManifest)
print(*(schema.__pydantic_complete__ for schema in schemas), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(home)], capture_output=True, text=True, timeout=120, check=True
    )

    assert done.stderr.splitlines() == ["False False False", "True False False"]


def test_version_imports_no_library_but_that_of_the_command_line(home):
    assert imported(
        home, "--version", among={*NEVER, "redis", "cryptography", "rich", "pydantic", "yaml"}
    ) == (0, set())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("describe", "cert", "web"), 0),
        (("get", "secrets"), 0),
        (("apply", "-f", "."), 1),
        (("renew", "web"), 5),
    ],
)
def test_no_command_imports_what_only_workers_need(home, arguments, code):
    assert imported(home, *arguments, among={*NEVER, "rich"}) == (code, set())
