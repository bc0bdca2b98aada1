"""How many requests to the API server one certificate costs. Before statuses were cached as they were
written: 8 GET of the Certificate, 3 PATCH of it, 2 PUT of its status, 2.2 GET of the Secret, 3 events."""

from __future__ import annotations

import pytest

from certmill.model.names import certificate_id
from tests.support.api_requests import requests_of
from tests.support.kube_lab import KubeLab

MANY = 10


@pytest.fixture(scope="module")
def lab(empty_kube, tmp_path_factory):
    with KubeLab(directory=tmp_path_factory.mktemp("cluster"), kube=empty_kube, serves=False) as lab:
        lab.apply_issuer(lab.rfc2136())
        yield lab


def issue(lab, namespace, names):
    """Until all runs have ended, read from Redis: a read of the API would be counted."""
    for name in names:
        lab.apply_certificate(namespace, name, f"{name}.{namespace}.example.test")
    records = lab.runtime.ports.records
    for name in names:
        lab.until(
            lambda name=name: (
                (found := records.read(certificate_id(namespace, name))) is not None
                and found.result == "issued"
                and not found.step
            ),
            what=f"the run of {name} ends",
        )


def test_a_run_reads_its_certificate_twice_and_writes_its_status_twice(lab, namespace):
    issue(lab, namespace, ["first"])
    before = requests_of(lab.kube)

    issue(lab, namespace, [f"web-{number}" for number in range(MANY)])
    asked = {what: count / MANY for what, count in (requests_of(lab.kube) - before).items()}

    assert asked["GET certificates"] <= 2
    assert asked["PUT certificates/status"] <= 2
    assert asked["PATCH certificates"] <= 2
    assert asked["POST events"] <= 3
