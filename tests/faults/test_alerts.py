"""A real Prometheus scrapes a running installation: each alert fires when its fault comes, and clears when it
is over."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from certmill.model.certificate import RenewalPolicy
from certmill.model.manifests.parse import certificate_document, dump_yaml
from compose.local import LocalCertmill
from compose.servers.ports import free_port
from compose.servers.prometheus import Prometheus
from compose.servers.redis import RedisServer
from tests.support.builders import DAY, a_certificate, a_pair
from tests.support.preloaded import spawn_preloaded
from tests.support.waiting import until

MONITORING = Path(__file__).resolve().parents[2] / "compose" / "chart" / "monitoring"
QUICKER = {
    "CertmillBeatGone": ("> 60", "> 10"),
    "CertmillWorkersGone": ("> 60", "> 10"),
    "CertmillRunStuck": ("> 3600", "> 10"),
}
"""Thresholds that are too high for a test."""

ISSUER = """\
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {{name: prod}}
spec:
  acme:
    server: https://127.0.0.1:{port}/directory
    privateKeySecretRef: {{name: prod-account}}
    solvers: [{{http01: {{ingress: {{}}}}}}]
"""


def quickened():
    """The shipped rules, changed to fire after a second; three of them have a lower threshold."""
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        rule["for"] = "1s"
        if rule["alert"] in QUICKER:
            shipped, quick = QUICKER[rule["alert"]]
            assert shipped in rule["expr"]
            rule["expr"] = rule["expr"].replace(shipped, quick)
    return rules


class Watched:
    """An installation whose CA does not answer, and the Prometheus that scrapes it."""

    def __init__(self, directory, redis) -> None:
        ports = {kind: free_port() for kind in ("worker", "beat", "responder")}
        self.redis = redis
        self.certmill = LocalCertmill(
            directory=directory / "certmill",
            redis_url=redis.url,
            settings={"admin_host": "127.0.0.1"},
            spawn=spawn_preloaded,
            settings_of={kind: {"admin_port": str(port)} for kind, port in ports.items()},
        )
        targets = {f"certmill-{kind}": [f"127.0.0.1:{port}"] for kind, port in ports.items()}
        self.prometheus = Prometheus(directory=directory / "prometheus", targets=targets, rules=quickened())
        self.runtime = self.certmill.open()
        manifests = self.certmill.home / "manifests"
        manifests.mkdir(mode=0o700, exist_ok=True)
        (manifests / "prod.yaml").write_text(ISSUER.format(port=free_port()))

    def apply(self, certificate, pair=None):
        home = self.runtime.ports.home
        if pair is not None:
            home.write_secret(pair)
        home.apply(certificate, dump_yaml(certificate_document(certificate)))
        self.runtime.ports.snapshots.request_reread()

    def delete(self, certificate):
        self.runtime.ports.home.delete("Certificate", certificate.namespace, certificate.name)
        self.runtime.ports.snapshots.request_reread()

    def fires(self, alert):
        until(
            lambda: alert in self.prometheus.firing(),
            seconds=150,
            what=lambda: f"{alert} does not fire: {self.about()}",
        )

    def is_clear(self, *alerts):
        until(
            lambda: not {*alerts} & self.prometheus.firing(),
            seconds=150,
            what=lambda: f"{alerts} do not clear: {self.about()}",
        )

    def about(self):
        logs = {name: self.certmill.log_of(name)[-500:] for name in self.certmill.processes}
        return f"{self.prometheus.firing()} {self.prometheus.query('up')} {logs}"


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    directory = tmp_path_factory.mktemp("watched")
    with RedisServer(directory=directory / "redis") as redis:
        watched = Watched(directory, redis)
        with watched.certmill as certmill, watched.prometheus:
            certmill.start()
            until(
                lambda: len(watched.prometheus.query("certmill_redis_up == 1")) == 3,
                seconds=180,
                what=watched.about,
            )
            yield watched
        watched.runtime.close()


def test_nothing_fires_while_all_is_well(watched):
    good = a_certificate(name="good", secret_name="good-tls", dns_names=("good.example.test",))
    watched.apply(good, a_pair(good, not_before=time.time() - DAY, days=90))
    query = 'max by (name) (certmanager_certificate_ready_status{name="good", condition="True"}) == 1'
    until(lambda: watched.prometheus.query(query), seconds=150, what=watched.about)

    watched.is_clear("CertmillBeatGone", "CertmillWorkersGone", "CertmillNotScraped", "CertmillProcessDown")
    assert (
        watched.prometheus.firing() & {"CertmillRedisGone", "CertmillCertificateAtRisk", "CertmillRunStuck"}
        == set()
    )


def test_an_alert_fires_for_a_certificate_that_expires_soon(watched):
    old = a_certificate(name="old", secret_name="old-tls", dns_names=("old.example.test",))
    # A renewal in progress would hide what clears the alert.
    old = replace(old, renewal_policy=RenewalPolicy.DISABLED)
    watched.apply(old, a_pair(old, not_before=time.time() - 70 * DAY, days=90))
    watched.fires("CertmillCertificateAtRisk")
    watched.apply(old, a_pair(old, not_before=time.time() - 85 * DAY, days=90))
    watched.fires("CertmillCertificateCritical")

    watched.apply(old, a_pair(old, not_before=time.time() - DAY, days=90))
    watched.is_clear("CertmillCertificateAtRisk", "CertmillCertificateCritical")


def test_an_alert_fires_for_a_run_that_does_not_end(watched):
    stuck = a_certificate(name="stuck", secret_name="stuck-tls", dns_names=("stuck.example.test",))
    watched.apply(stuck)
    watched.fires("CertmillRunStuck")

    watched.delete(stuck)
    watched.is_clear("CertmillRunStuck")


def test_an_alert_fires_when_beat_is_gone(watched):
    beat = watched.certmill.processes["beat1"]
    beat.kill()
    watched.fires("CertmillBeatGone")
    watched.fires("CertmillProcessDown")
    assert "CertmillWorkersGone" not in watched.prometheus.firing()

    watched.certmill.start(workers=0, responder=False)
    watched.is_clear("CertmillBeatGone", "CertmillProcessDown")


def test_an_alert_fires_when_the_workers_are_gone(watched):
    watched.certmill.processes["worker1"].kill()
    watched.fires("CertmillWorkersGone")
    assert "CertmillBeatGone" not in watched.prometheus.firing()

    watched.certmill.start_worker("worker1")
    watched.is_clear("CertmillWorkersGone", "CertmillProcessDown")


def test_an_alert_fires_when_redis_is_gone(watched):
    watched.redis.stop()
    watched.fires("CertmillRedisGone")

    watched.redis.start()
    watched.is_clear("CertmillRedisGone", "CertmillBeatGone", "CertmillWorkersGone")


def test_every_query_of_the_dashboard_is_answered(watched):
    """Queries that count events which have not happened here may be empty; the others have values."""
    shown = a_certificate(name="shown", secret_name="shown-tls", dns_names=("shown.example.test",))
    watched.apply(shown, a_pair(shown, not_before=time.time() - DAY, days=90))
    watched.apply(a_certificate(name="busy", secret_name="busy-tls", dns_names=("busy.example.test",)))
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    queries = {target["expr"]: panel["title"] for panel in dashboard["panels"] for target in panel["targets"]}
    may_be_empty = re.compile("acme_client|run_duration|certmill_runs_total")

    def unanswered():
        concrete = {query: query.replace("$__rate_interval", "1m").replace("$job", ".*") for query in queries}
        found = {query: watched.prometheus.query(text) for query, text in concrete.items()}
        return {
            queries[query]
            for query, samples in found.items()
            if not samples and not may_be_empty.search(query)
        }

    until(lambda: not unanswered(), seconds=150, what=lambda: f"{unanswered()} {watched.about()}")
    assert len(queries) > 20
