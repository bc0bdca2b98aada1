"""A certificate without Celery: the engine's steps one after the other in this process, for profiles and for
a real idle record."""

from __future__ import annotations

import time
from collections.abc import Sequence

from certmill.contract import STEP_NAMES
from certmill.model.names import CertificateId
from certmill.runs.outcomes import Proceed, Wait
from certmill.runtime import Runtime
from tests.bench.ground import ECDSA, ZONE, Installation

_WAITS = 50


def issue(installation: Installation, name: str) -> CertificateId:
    """Issue one for name.ZONE. Raises RuntimeError if a step ends in anything but Proceed or a Wait."""
    certificate = begin(installation, name)
    run(installation, certificate, STEP_NAMES)
    return certificate


def begin(installation: Installation, name: str) -> CertificateId:
    """Ask for it: its run is at the first step then."""
    reference = {"name": "bench", "kind": "ClusterIssuer"}
    spec = {"issuerRef": reference, "secretName": name, "dnsNames": [f"{name}.{ZONE}"], "privateKey": ECDSA}
    accepted = installation.runtime.requests.request({"name": name, "spec": spec}, request_id=name)
    if accepted is None:
        raise RuntimeError(f"the request for {name} was refused")
    return accepted[0]


def run(installation: Installation, certificate: CertificateId, steps: Sequence[str]) -> None:
    """These steps, in order."""
    for step in steps:
        _step(installation.runtime, step, certificate)


def _step(runtime: Runtime, step: str, certificate: CertificateId) -> None:
    for _ in range(_WAITS):
        result = runtime.engine.run(step, certificate, task_id="bench", root_id="bench")
        if isinstance(result, Proceed):
            return
        if not isinstance(result, Wait):
            raise RuntimeError(f"{step} of {certificate} ended in {result}")
        time.sleep(min(result.seconds, 1.0))
    raise RuntimeError(f"{step} of {certificate} still waits")
