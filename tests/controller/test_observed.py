"""A run in a cluster, as an operator sees it from outside: the log of worker and controller, and what each
tells on its admin port."""

from __future__ import annotations

import json

from prometheus_client.parser import text_string_to_metric_families

from tests.support.cluster import make_namespace
from tests.support.kube_lab import KubeLab
from tests.support.waiting import until


def values(lab, process):
    """{(sample, labels): value}, once Redis has answered within its second, as it may not on a loaded
    machine."""
    text = until(
        lambda: "certmill_redis_up 1.0" in (found := lab.certmill.admin(process)) and found,
        what=f"Redis answers {process}",
    )
    return {
        (sample.name.replace("_count_total", "_count"), *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def events(lab, process, certificate):
    lines = [json.loads(line) for line in lab.certmill.log_of(process).splitlines() if line.startswith("{")]
    return [line["event"] for line in lines if line.get("certificate") == certificate]


def test_a_run_in_a_cluster_is_logged_and_measured_and_survives_lost_servers(empty_kube, tmp_path):
    make_namespace(empty_kube, "shop")
    with KubeLab(directory=tmp_path, kube=empty_kube, serves=False) as lab:
        lab.apply_issuer(lab.rfc2136())
        lab.apply_certificate("shop", "web", "web.example.test")
        until(
            lambda: "certificate.issued" in events(lab, "worker1", "shop/web"),
            seconds=120,
            what=lambda: lab.certmill.log_of("worker1"),
        )

        once = ["certificate.run_begun", "certificate.delivered", "certificate.issued"]
        assert [one for one in events(lab, "worker1", "shop/web") if one != "certificate.waiting"] == once
        assert lab.certmill.admin("controller", "/livez") == "ok\n"
        until(lambda: lab.certmill.admin("controller", "/readyz") == "ok\n", what="the controller is ready")
        found = values(lab, "controller")
        labels = sorted(("web", "shop", "prod-issuer", "ClusterIssuer", "cert-manager.io"))
        assert found["certmanager_certificate_ready_status", *sorted((*labels, "True"))] == 1
        assert (
            found["certmanager_certificate_expiration_timestamp_seconds", *labels]
            > found["certmanager_clock_time_seconds",]
        )
        assert found["certmanager_clusterissuer_ready_status", "True", "prod-issuer"] == 1
        assert values(lab, "worker1")["certmanager_controller_sync_call_count", "clusterissuers"] >= 1

        lab.runtime.redis.flushall()
        until(
            lambda: "certificate.adopted" in events(lab, "controller", "shop/web"),
            seconds=60,
            what=lambda: lab.certmill.log_of("controller"),
        )
        assert values(lab, "controller")["certmanager_certificate_expiration_timestamp_seconds", *labels] > 0

        empty_kube.kill()
        try:
            for process in ("controller", "worker1"):
                until(
                    lambda process=process: (
                        "the API server does not answer" in lab.certmill.admin(process, "/readyz")
                    ),
                    seconds=60,
                )
                assert lab.certmill.admin(process, "/livez") == "ok\n"
        finally:
            empty_kube.start()
        for process in ("controller", "worker1"):
            until(lambda process=process: lab.certmill.admin(process, "/readyz") == "ok\n", seconds=60)
