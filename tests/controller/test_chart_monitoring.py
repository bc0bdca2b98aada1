"""What the chart gives the Prometheus operator and Grafana."""

from __future__ import annotations

import json

import pytest
import yaml

from compose import render
from compose.servers import ServerFailed
from tests.support.chart import containers, named, pods, rendered

VALUES = {
    "metrics": {
        "port": 9500,
        "podMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}},
        "rules": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboard": {"enabled": True},
    }
}

pytestmark = pytest.mark.usefixtures("helm_program")


@pytest.fixture
def objects(tmp_path):
    return rendered(tmp_path, VALUES)


def test_without_the_operator_nothing_of_it_is_made(tmp_path):
    assert {one["kind"] for one in rendered(tmp_path, {})}.isdisjoint({"PodMonitor", "PrometheusRule"})


def test_the_pod_monitor_finds_the_admin_port_of_each_process(objects):
    monitor = named(objects, "PodMonitor", "certmill")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    ports = {
        component: port["containerPort"]
        for component, container in containers(objects).items()
        for port in container["ports"]
        if port["name"] == endpoint["port"]
        and wanted.items() <= pods(objects)[component]["metadata"]["labels"].items()
    }

    assert ports == dict.fromkeys(("controller", "worker", "beat", "responder"), 9500)
    assert (endpoint["path"], endpoint["honorLabels"], endpoint["interval"]) == ("/metrics", True, "15s")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


@pytest.mark.parametrize("metrics", [{"port": 80}, {"port": 8089}, {"host": ""}])
def test_an_admin_port_that_a_pod_cannot_have_is_refused(tmp_path, metrics):
    with pytest.raises(ServerFailed, match="metrics"):
        rendered(tmp_path, {"metrics": metrics})


def test_rules_and_dashboard_are_the_shipped_files(objects):
    shipped = render.CHART / "monitoring"
    rule, dashboard = (
        named(objects, "PrometheusRule", "certmill"),
        named(objects, "ConfigMap", "certmill-dashboard"),
    )

    assert rule["spec"] == yaml.safe_load((shipped / "alerts.yaml").read_text())
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    assert json.loads(dashboard["data"]["certmill.json"]) == json.loads(
        (shipped / "dashboard.json").read_text()
    )
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
