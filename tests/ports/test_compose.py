"""compose.yaml as other programs read it: Docker Compose's own loader, promtool and Valkey."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import redis

from compose.servers import ServerFailed
from compose.servers.docker_compose import compose_config
from compose.servers.ports import answers, free_port, start_on_free_ports
from compose.servers.process import ServerProcess
from compose.servers.prometheus import promtool
from compose.servers.redis import find_redis

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose"
PASSWORD = "one-of-the-test"


@pytest.fixture
def environment(tmp_path):
    file = tmp_path / "environment"
    file.write_text(f'VALKEY_PASSWORD="{PASSWORD}"\nGRAFANA_PASSWORD=other\n')
    return file


@pytest.fixture
def project(compose_program, environment):
    return compose_config(COMPOSE / "compose.yaml", environment)


def test_docker_compose_reads_the_file(project):
    worker = project["services"]["worker"]

    assert worker["command"] == ["celery", "--quiet", "-A", "workers", "worker"]
    assert worker["environment"]["CERTMILL_REDIS_URL"] == f"redis://:{PASSWORD}@valkey:6379/0"
    assert worker["build"] == {"context": str(ROOT), "dockerfile": "compose/Dockerfile"}
    assert [(home["type"], home["source"]) for home in worker["volumes"]] == [("volume", "home")]


def test_the_home_may_be_a_directory_of_the_machine(compose_program, environment):
    with environment.open("a") as file:
        file.write("HOME_VOLUME=/var/lib/certmill\n")

    (home,) = compose_config(COMPOSE / "compose.yaml", environment)["services"]["worker"]["volumes"]

    assert (home["type"], home["source"]) == ("bind", "/var/lib/certmill")


def test_without_passwords_the_file_is_refused(compose_program, tmp_path):
    empty = tmp_path / "empty"
    empty.touch()

    with pytest.raises(ServerFailed, match=r"VALKEY_PASSWORD is missing a value: set it in compose/\.env"):
        compose_config(COMPOSE / "compose.yaml", empty)


def test_promtool_finds_no_fault_in_prometheus_configuration(project, tmp_path):
    for mount in project["services"]["prometheus"]["volumes"]:
        if mount["type"] == "bind":
            shutil.copy(mount["source"], tmp_path / mount["target"].removeprefix("/etc/prometheus/"))

    assert "SUCCESS: 1 rule files found" in promtool("check", "config", tmp_path / "prometheus.yml")


def test_valkey_starts_with_its_command_and_needs_the_password(project, tmp_path):
    service = project["services"]["valkey"]
    (tmp_path / "valkey-server").symlink_to(find_redis())
    log = tmp_path / "valkey.log"
    process = ServerProcess("valkey", log=log)

    def start():
        nonlocal port
        port = free_port()
        given = (COMPOSE / "valkey.conf").read_text()
        here = given.replace("bind * -::*", "bind 127.0.0.1").replace("port 6379", f"port {port}")
        (tmp_path / "valkey.conf").write_text(here.replace("dir /data", f"dir {tmp_path}"))
        command = [
            part.replace("/etc/certmill", str(tmp_path)).replace("$$", "$") for part in service["command"]
        ]
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        environment = {**service["environment"], "PATH": path}
        process.start(command, environment=environment, answers=lambda: answers(port))

    port = 0
    start_on_free_ports(start, fixed=False)
    try:
        with redis.Redis(port=port, password=PASSWORD) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        with redis.Redis(port=port) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
    finally:
        process.stop()
