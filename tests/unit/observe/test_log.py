from __future__ import annotations

import io
import json
import logging

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from certmill.observe.log import REDACTED, configure, get_logger, redact

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
KEY_AUTHORIZATION = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nsecretsecret\n-----END RSA PRIVATE KEY-----"


@pytest.fixture(autouse=True)
def logging_as_before():
    """Logging is global: put it back for the other tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def configured(format="json", level="INFO", stream=None):
    stream = stream or io.StringIO()
    configure(format, level, "worker", stream=stream)
    return stream


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def masked(**fields):
    return redact(None, "info", fields)


def test_an_event_is_one_json_object_with_its_fields():
    stream = configured()

    get_logger("certmill.runs").info("step.advanced", certificate="default/web", step="validate", attempts=2)

    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "step.advanced",
        "certificate": "default/web",
        "step": "validate",
        "attempts": 2,
        "level": "info",
        "logger": "certmill.runs",
        "process": "worker",
    }


def test_the_libraries_speak_in_the_same_format():
    stream = configured()

    logging.getLogger("celery.worker").warning(
        "lost %s, trying again", "redis://worker:hunter2@redis:6379/0", extra={"attempt": 3}
    )

    (line,) = lines(stream)
    assert line["event"] == f"lost redis://worker:{REDACTED}@redis:6379/0, trying again"
    assert (line["logger"], line["level"], line["process"], line["attempt"]) == (
        "celery.worker",
        "warning",
        "worker",
        3,
    )


def test_bound_context_is_in_every_line_of_ours_and_of_libraries():
    stream = configured()

    with structlog.contextvars.bound_contextvars(certificate="default/web"):
        get_logger("certmill").info("ours")
        logging.getLogger("kombu").info("theirs")

    assert [line["certificate"] for line in lines(stream)] == ["default/web", "default/web"]


def test_less_than_the_level_is_not_logged():
    stream = configured(level="WARNING")

    get_logger("certmill").info("quiet")
    logging.getLogger("kombu").info("quiet")
    get_logger("certmill").warning("loud")

    assert [line["event"] for line in lines(stream)] == ["loud"]


@pytest.mark.parametrize("name", ["acme.client", "josepy", "urllib3.connectionpool"])
def test_libraries_that_log_whole_requests_are_kept_quiet_even_at_debug(name):
    stream = configured(level="DEBUG")

    logging.getLogger(name).debug("POST with payload")

    assert stream.getvalue() == ""


def test_configuring_twice_logs_once():
    configured()
    stream = configured()

    get_logger("certmill").info("once")

    assert len(lines(stream)) == 1


@pytest.mark.parametrize(
    ("format", "stream", "is_json"),
    [("auto", Terminal(), False), ("auto", io.StringIO(), True), ("console", io.StringIO(), False)],
)
def test_auto_is_columns_on_a_terminal_and_json_elsewhere(format, stream, is_json):
    configured(format, stream=stream)

    get_logger("certmill").info("step.advanced", certificate="default/web")

    assert stream.getvalue().startswith("{") is is_json
    assert "step.advanced" in stream.getvalue()


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_traceback_is_logged_without_the_secret_in_it(format):
    stream = configured(format)

    try:
        raise ValueError(f"bad key {PEM} at redis://certmill:hunter2@redis:6379")
    except ValueError:
        get_logger("certmill").exception("step.failed")
        logging.getLogger("celery").exception("task failed")

    assert stream.getvalue().count("ValueError: bad key [redacted private key]") == 2
    assert "hunter2" not in stream.getvalue()
    assert "secretsecret" not in stream.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "token",
        "api_token",
        "apiToken",
        "secret",
        "password",
        "flower_password",
        "authorization",
        "Authorization",
        "eab-hmac",
        "private_key",
        "privateKey",
        "tls.key",
        "key_authorization",
        "TSIG_SECRET",
        "seal_keys",
        "hmacKey",
        "X-Auth-Key",
        "credentials",
    ],
)
def test_a_field_with_a_secret_name_is_masked(name):
    assert masked(**{name: "hunter2"}) == {name: REDACTED}


@pytest.mark.parametrize(
    "name",
    [
        "certificate",
        "secret_name",
        "secretName",
        "key_id",
        "token_count",
        "monkey",
        "keyboard",
        "key_algorithm",
        "step",
    ],
)
def test_a_field_that_only_names_something_is_shown(name):
    assert masked(**{name: "web"}) == {name: "web"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"read {PEM} from disk", "read [redacted private key] from disk"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEcut", "[redacted private key]"),
        ("redis://user:hunter2@redis:6379/0", f"redis://user:{REDACTED}@redis:6379/0"),
        ("rediss://:hunter2@redis/0", f"rediss://:{REDACTED}@redis/0"),
        ("redis://user:p/a@ss@redis/0", f"redis://user:{REDACTED}@redis/0"),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("https://acme.example/directory", "https://acme.example/directory"),
        ("Authorization: Bearer abcdefghijklmnop1234", f"Authorization: Bearer {REDACTED}"),
        (f"expected {KEY_AUTHORIZATION}", "expected [redacted key authorization]"),
        (f"GET /.well-known/acme-challenge/{TOKEN} 404", f"GET /.well-known/acme-challenge/{REDACTED} 404"),
        ("ns1.example.com does not have it yet", "ns1.example.com does not have it yet"),
    ],
)
def test_what_looks_secret_inside_a_text_is_masked_and_the_rest_stays(text, shown):
    assert masked(event=text) == {"event": shown}


def test_secrets_inside_lists_and_mappings_are_masked():
    fields = masked(request={"headers": {"Authorization": "x", "Accept": "y"}, "urls": ["redis://u:p@h"]})

    assert fields == {
        "request": {
            "headers": {"Authorization": REDACTED, "Accept": "y"},
            "urls": [f"redis://u:{REDACTED}@h"],
        }
    }


def test_objects_and_bytes_are_never_shown_as_they_are():
    class Holder:
        def __repr__(self):
            return PEM

    assert masked(held=Holder(), blob=b"hunter2", setting=SecretStr("hunter2")) == {
        "held": "[redacted private key]",
        "blob": "[7 bytes]",
        "setting": "**********",
    }


def test_a_foreign_text_cannot_forge_a_line_or_drive_the_terminal():
    stream = configured("console")

    get_logger("certmill").info("step.failed", reason="no\n2026-01-01 [info] all is well\x1b[2J\r")

    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b[2J" not in stream.getvalue()


def test_a_text_is_capped():
    assert len(str(masked(event="a" * 1_000_000)["event"])) < 20_000


@given(
    st.text(alphabet="ABCxyz019+/=\n", max_size=300),
    st.sampled_from(["", "RSA ", "EC ", "ENCRYPTED "]),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_no_private_key_survives_whatever_is_around_it(body, kind, before, after):
    pem = f"-----BEGIN {kind}PRIVATE KEY-----\nMARKER{body}\n-----END {kind}PRIVATE KEY-----"

    assert "MARKER" not in str(masked(event=before + pem + after))
