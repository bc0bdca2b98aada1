"""What must hold is in the app's configuration, not in flags."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flower.utils.broker import Broker

import workers
from certmill.settings import Settings
from certmill.settings import load as load_settings
from tests.support.processes import Server
from workers.configuration import App, configured_app, table


def _app(**changes: object) -> App:
    return configured_app(load_settings(**changes), schedule={}, on_rejected=lambda *_: None)


def _settings(url: str, **changes: object) -> Settings:
    return load_settings(redis_url=url, **changes)


def test_tls_is_a_dict_that_verifies_the_server(tmp_path: Path) -> None:
    conf = table(_settings("rediss://:pw@redis.example:6380/2", redis_ca_file=tmp_path / "ca.pem"), {})

    assert conf["broker_use_ssl"] == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": str(tmp_path / "ca.pem"),
    }


def test_tls_cannot_be_weakened_in_the_url() -> None:
    app = _app(redis_url="rediss://redis.example/0?ssl_cert_reqs=none&ssl_check_hostname=false")

    with app.connection_for_read() as connection:
        assert isinstance(connection.ssl, dict)
        assert connection.ssl["ssl_cert_reqs"] == ssl.CERT_REQUIRED
        assert connection.ssl["ssl_check_hostname"] is True


def test_plain_redis_has_no_tls_options() -> None:
    assert table(_settings("redis://127.0.0.1/0"), {})["broker_use_ssl"] is None


def test_somebody_elses_broker_in_the_environment_does_not_part_us_from_our_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere/0")

    app = _app(redis_url="redis://here:6379/0")

    assert (
        app.connection_for_read().as_uri() == app.connection_for_write().as_uri() == "redis://:**@here:6379/0"
    )


def test_flower_gets_the_password_of_the_url_file_and_connections_read_it_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "url"
    file.write_text(server.url.replace("redis://", "redis://worker:first@"))
    monkeypatch.delenv("CERTMILL_REDIS_URL", raising=False)
    monkeypatch.setenv("CERTMILL_REDIS_URL_FILE", str(file))
    app = _app()
    file.write_text(server.url.replace("redis://", "redis://worker:second@"))
    with server.client as client:
        client.execute_command("ACL", "SETUSER", "worker", "on", ">second", "~*", "&*", "+@all")

    with app.connection_for_read() as connection:
        flower = Broker(connection.as_uri(include_password=True))
        channel: Any = connection.default_channel
        user = channel.client.execute_command("ACL", "WHOAMI")

    assert (flower.username, flower.password) == ("worker", "first")
    assert "first" not in connection.as_uri()
    assert user == b"worker"


def test_messages_are_json_and_nothing_else() -> None:
    assert _app().conf.accept_content == ["json"]


def test_a_queue_that_is_not_ours_is_not_made() -> None:
    with pytest.raises(KeyError):
        _app().amqp.queues["celery"]


def test_importing_the_package_builds_nothing() -> None:
    assert "app" not in vars(workers)
    with pytest.raises(AttributeError):
        _ = workers.celery


@pytest.mark.parametrize("name", ["workers", "workers.celery_app"])
def test_celery_finds_the_one_app_by_either_name(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "CERTMILL_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "celery", "-A", name, "report"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    assert told.returncode == 0, told.stderr
    assert "certificate.request" in told.stdout
