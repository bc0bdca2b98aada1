"""compose.yaml: what it names exists, each of its processes can be started, and nothing is reachable from
other machines."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from certmill.settings import Settings
from tests.house.conftest import ROOT

COMPOSE = ROOT / "compose"
SERVICES = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
PROCESSES = sorted(name for name, service in SERVICES.items() if service["image"].startswith("certmill:"))
ADMIN = [name for name in PROCESSES if name != "flower"]

each_process = pytest.mark.parametrize("name", PROCESSES)


def mounts():
    """(service, source, target) of each volume."""
    for name, service in SERVICES.items():
        for volume in service["volumes"]:
            source, target = re.fullmatch(r"(\$\{.*?\}|[^:]+):([^:]+)(?::ro)?", volume).groups()
            yield name, source, target


def test_there_is_a_service_for_each_process_and_each_server():
    assert PROCESSES == ["beat", "flower", "responder", "worker"]
    assert SERVICES.keys() - set(PROCESSES) == {"valkey", "prometheus", "grafana"}


def test_each_image_has_one_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {service["image"] for service in SERVICES.values()}

    assert f"certmill:{version}" in images
    assert [image for image in images if not re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", image)] == []


@each_process
def test_a_container_starts_a_process_that_is_there(name):
    program, *arguments = SERVICES[name]["command"]
    command = [Path(sys.executable).parent / program, *arguments, "--help"]

    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    assert shown.returncode == 0, shown.stderr
    assert "usage" in shown.stdout.lower()


@each_process
def test_a_container_gets_settings_that_exist_and_may_change_the_others(name):
    given = {variable for variable in SERVICES[name]["environment"] if variable.startswith("CERTMILL_")}
    known = {f"CERTMILL_{setting.upper()}" for setting in Settings.model_fields}

    assert {"CERTMILL_HOME", "CERTMILL_REDIS_URL"} <= given <= known
    assert SERVICES[name]["env_file"] == [{"path": "env", "required": False}]


def test_a_worker_has_time_to_end_its_steps():
    assert SERVICES["worker"]["stop_grace_period"] == "45s"


def test_each_service_starts_again_and_has_no_more_rights_than_it_needs():
    for name, service in SERVICES.items():
        assert service["restart"] == "unless-stopped", name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_each_file_that_is_mounted_exists():
    files = [source for _, source, _ in mounts() if source.startswith("./")]

    assert len(files) >= 5
    assert [source for source in files if not (COMPOSE / source).is_file()] == []


def test_ports_are_published_on_loopback_and_are_those_on_which_the_process_listens():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    flower, responder = SERVICES["flower"]["environment"], SERVICES["responder"]["environment"]

    assert published == {
        "flower": [f"127.0.0.1:5555:{flower['CERTMILL_FLOWER_PORT']}"],
        "responder": [f"127.0.0.1:8089:{responder['CERTMILL_RESPONDER_PORT']}"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }
    assert (flower["CERTMILL_FLOWER_ADDRESS"], responder["CERTMILL_RESPONDER_HOST"]) == ("0.0.0.0", "0.0.0.0")


def test_the_health_check_asks_the_port_on_which_the_process_listens():
    ports = {name: SERVICES[name]["environment"]["CERTMILL_ADMIN_PORT"] for name in ADMIN}
    ports["flower"] = SERVICES["flower"]["environment"]["CERTMILL_FLOWER_PORT"]
    asked = {
        name: re.search(
            r"http://127\.0\.0\.1:(\d+)/(livez|healthcheck)'", SERVICES[name]["healthcheck"]["test"][-1]
        )
        for name in PROCESSES
    }

    assert {name: found and found[1] for name, found in asked.items()} == ports


def test_prometheus_asks_each_process_that_has_an_admin_port():
    (job,) = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())["scrape_configs"]
    (found,) = job["dns_sd_configs"]

    assert sorted(found["names"]) == ADMIN
    assert {str(found["port"])} == {SERVICES[name]["environment"]["CERTMILL_ADMIN_PORT"] for name in ADMIN}
    assert {SERVICES[name]["environment"]["CERTMILL_ADMIN_HOST"] for name in ADMIN} == {"0.0.0.0"}
    assert job["honor_labels"] is True


def test_grafana_finds_prometheus_and_the_dashboard():
    (source,) = yaml.safe_load((COMPOSE / "grafana" / "datasources.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((COMPOSE / "grafana" / "dashboards.yaml").read_text())["providers"]
    url = urlsplit(source["url"])
    dashboards = Path(provider["options"]["path"])
    mounted = {target: source for name, source, target in mounts() if name == "grafana"}

    assert (url.hostname, f"127.0.0.1:{url.port}:{url.port}") == (
        "prometheus",
        SERVICES["prometheus"]["ports"][0],
    )
    assert source["type"] == "prometheus"
    assert mounted[str(dashboards / "certmill.json")] == "./chart/monitoring/dashboard.json"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == str(dashboards / "certmill.json")


def test_git_ignores_the_files_with_passwords():
    ignored = (ROOT / ".gitignore").read_text().splitlines()

    assert {"/compose/env", "/compose/.env"} <= set(ignored)
