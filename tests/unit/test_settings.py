"""Which of the places that may say a setting is believed."""

from __future__ import annotations

import os

import pytest

from certmill.errors import InvalidManifest
from certmill.settings import load, unknown_variables

ARGUMENT, PLAIN, FILE, BARE, EMBEDDED, DEFAULT = (
    f"redis://{host}:6379/0" for host in ("arg", "plain", "file", "bare", "home", "127.0.0.1")
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An environment in which nothing is set but the home, and in which a directory's settings are nobody
    else's."""
    for name in [name for name in os.environ if name.startswith("CERTMILL_") or name == "REDIS_URL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CERTMILL_HOME", str(tmp_path))
    return tmp_path


def written(directory, name, text):
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).write_text(f"{text}\n")
    return str(directory / name)


@pytest.mark.parametrize(
    ("places", "believed"),
    [
        (("plain", "file", "bare", "home"), PLAIN),
        (("file", "bare", "home"), FILE),
        (("bare", "home"), BARE),
        (("home",), EMBEDDED),
        ((), DEFAULT),
        (("plain", "bare"), PLAIN),
        (("plain", "file"), PLAIN),
        (("file", "home"), FILE),
    ],
)
def test_the_url_that_is_said_nearest_to_certmill_is_believed(home, monkeypatch, places, believed):
    if "plain" in places:
        monkeypatch.setenv("CERTMILL_REDIS_URL", PLAIN)
    if "file" in places:
        monkeypatch.setenv("CERTMILL_REDIS_URL_FILE", written(home, "mounted", FILE))
    if "bare" in places:
        monkeypatch.setenv("REDIS_URL", BARE)
    if "home" in places:
        written(home, "valkey/url", EMBEDDED)

    assert load().redis_url.get_secret_value() == believed
    assert load(redis_url=ARGUMENT).redis_url.get_secret_value() == ARGUMENT


def test_a_password_in_the_variable_wins_over_the_one_in_a_file(home, monkeypatch):
    monkeypatch.setenv("CERTMILL_FLOWER_PASSWORD_FILE", written(home, "password", "of the file"))
    from_file = load().flower_password
    monkeypatch.setenv("CERTMILL_FLOWER_PASSWORD", "of the variable")
    from_variable = load().flower_password

    assert [password.get_secret_value() for password in (from_file, from_variable)] == [
        "of the file",
        "of the variable",
    ]


def test_a_file_that_is_not_needed_is_not_read(monkeypatch):
    monkeypatch.setenv("CERTMILL_REDIS_URL", PLAIN)
    monkeypatch.setenv("CERTMILL_REDIS_URL_FILE", "/no/such/file")

    assert load().redis_url.get_secret_value() == PLAIN


def test_an_empty_variable_is_none(home, monkeypatch):
    monkeypatch.setenv("CERTMILL_REDIS_URL", "")
    monkeypatch.setenv("CERTMILL_HTTP01_PORT", "")
    monkeypatch.setenv("REDIS_URL", BARE)

    assert (load().redis_url.get_secret_value(), load().http01_port) == (BARE, 80)


def test_a_file_that_cannot_be_read_is_named_by_its_variable(monkeypatch):
    monkeypatch.setenv("CERTMILL_REDIS_URL_FILE", "/no/such/file")

    with pytest.raises(InvalidManifest, match="CERTMILL_REDIS_URL_FILE"):
        load()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("HOME_KIND", "k8s", "must match ^(directory|kubernetes)$"),
        ("LOG_LEVEL", "LOUD", "must match ^(DEBUG|INFO|WARNING|ERROR)$"),
        ("HIGH_WATER", "much", "must be a whole number"),
        ("WORKER_CONCURRENCY", "1", "must be 2 or more"),
        ("ADMIN_PORT", "65536", "must be 65535 or less"),
        ("ACME_TIMEOUT_SECONDS", "long", "must be a number"),
        ("CERTIFICATE_METRICS", "perhaps", "must be true or false"),
        ("SECRETS_FIELD_MANAGER", "-", "must match ^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$"),
    ],
)
def test_a_wrong_value_is_told_by_its_variable_and_what_it_must_be(monkeypatch, name, value, message):
    monkeypatch.setenv(f"CERTMILL_{name}", value)

    with pytest.raises(InvalidManifest) as wrong:
        load()

    assert str(wrong.value) == f"CERTMILL_{name}: {message}"


def test_a_variable_that_is_no_setting_is_named_with_the_one_that_is_meant():
    assert unknown_variables(
        {"CERTMILL_HOM": "x", "CERTMILL_COLOUR": "red", "CERTMILL_HOME": "y", "HOM": "z"}
    ) == [
        "CERTMILL_COLOUR is not a setting",
        "CERTMILL_HOM is not a setting; did you mean CERTMILL_HOME?",
    ]
    assert unknown_variables({"CERTMILL_REDIS_URL_FILES": "x", "CERTMILL_FLOWR_PORT": "1"}) == [
        "CERTMILL_FLOWR_PORT is not a setting; did you mean CERTMILL_FLOWER_PORT?",
        "CERTMILL_REDIS_URL_FILES is not a setting; did you mean CERTMILL_REDIS_URL_FILE?",
    ]


def test_the_variables_that_kubernetes_makes_of_a_service_are_not_taken_for_settings():
    port = "CERTMILL_RESPONDER_X_PORT"
    of_a_service = {
        "CERTMILL_RESPONDER_X_SERVICE_HOST": "10.0.0.1",
        "CERTMILL_RESPONDER_X_SERVICE_PORT_HTTP": "80",
        port: "tcp://10.0.0.1:80",
    }

    assert (
        unknown_variables({**of_a_service, f"{port}_80_TCP_ADDR": "10.0.0.1", "CERTMILL_PROCESS": "worker1"})
        == []
    )
