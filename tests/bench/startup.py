"""How long the command takes to start and to list certificates that are ready: whole processes, one after the
other, the median."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from certmill.home.directory.home import DirectoryHome
from certmill.model.names import CertificateId
from certmill.model.status import CertificateStatus, Condition
from tests.bench.figures import Result
from tests.bench.ground import Ground

RUNS = 7
_CERTIFICATE = """\
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: web, namespace: default}
spec: {secretName: web-tls, dnsNames: [web.example.com], issuerRef: {name: prod}}
"""
_COMMAND = "import sys; from certmill.cli import main; sys.exit(main())"


def measure(_: Ground) -> Result:
    """`certmill get certificates` on a home with a certificate that is ready."""
    with tempfile.TemporaryDirectory(prefix="certmill-bench-") as directory:
        home = Path(directory)
        write_ready_home(home)
        seconds = [_seconds(home) for _ in range(RUNS + 1)][1:]  # the first keeps the bytecode
    return Result(figures={"cli_get_s": statistics.median(seconds)})


def write_ready_home(home: Path) -> None:
    """A home with one Certificate, which is ready for an hour."""
    (home / "manifests").mkdir(parents=True)
    (home / "manifests" / "web.yaml").write_text(_CERTIFICATE)
    now = time.time()
    ready = Condition(
        type="Ready", status=True, reason="Ready", message="Certificate is up to date", last_transition=now
    )
    status = CertificateStatus(conditions=(ready,), not_before=now - 60, not_after=now + 3600)
    DirectoryHome(home, cluster_resource_namespace="cert-manager").write_certificate_status(
        CertificateId("default/web"), status
    )


def _seconds(home: Path) -> float:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    # An installation has bytecode beside its modules; a checkout, or an image in which the bench runs, may
    # have none.
    environment = {**kept, "CERTMILL_HOME": str(home), "PYTHONPYCACHEPREFIX": str(home / "bytecode")}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", _COMMAND, "get", "certificates"],
        env=environment,
        check=True,
        capture_output=True,
        timeout=60,
    )
    return time.perf_counter() - began
