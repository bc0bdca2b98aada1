"""No key material, token or password in a message, an event, a log, a record, or what Flower keeps:
everything that passed is searched."""

from __future__ import annotations

import base64

import pytest

from certmill.client import IssuanceFailed
from compose.servers.redis import RedisServer
from tests.support.lab import EAB_SECRET, TSIG_SECRET, Lab
from tests.support.overheard import Overheard, decoded, dump, forms, private_forms

WRONG_TSIG = base64.b64encode(b"another secret, which BIND refuses").decode()
REDIS_PASSWORD = "a-password-of-redis-itself"


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    directory = tmp_path_factory.mktemp("watched")
    with RedisServer(directory=directory / "redis", arguments=("--requirepass", REDIS_PASSWORD)) as redis:
        url = redis.url.replace("redis://", f"redis://:{REDIS_PASSWORD}@")
        with Overheard(url) as overheard, Lab(directory=directory, redis_url=url) as lab:
            lab.certmill.start(flower=True)
            lab.apply_issuer("wrong", tsig_secret=WRONG_TSIG)
            lab.issue("dns", "*.example.test", "example.test", private_key={"algorithm": "RSA", "size": 2048})
            lab.issue("http", "www.other.test")
            with pytest.raises(IssuanceFailed):
                lab.request("wrong", "wrong.example.test", issuer="wrong").wait(60)
            lab.until(
                lambda: "task-failed" in decoded("\n".join(overheard.commands)),
                what="the failure's event, which travels in a batch",
            )
            dumped = "\n".join(dump(url))
            texts = {path.name: path.read_bytes().decode("latin-1") for path in directory.rglob("*.log")}
            texts |= {
                path.name: path.read_bytes().decode("latin-1")
                for path in (lab.certmill.home / "flower").rglob("*")
                if path.is_file()
            }
            traffic = "\n".join(overheard.commands)
            texts |= {"redis": dumped, "traffic": traffic, "bodies": decoded(traffic)}
            secrets = {
                "TSIG secret": forms(TSIG_SECRET.encode()) + forms(base64.b64decode(TSIG_SECRET)),
                "wrong TSIG secret": forms(WRONG_TSIG.encode()) + forms(base64.b64decode(WRONG_TSIG)),
                "EAB": forms(EAB_SECRET.encode()),
                "Flower's password": ["correct-horse-battery-staple"],
                "seal key": [(lab.certmill.home / "seal-key").read_text().strip()],
                "account key": private_forms(lab.secret("prod-account", "cert-manager").data["tls.key"]),
                "RSA key": private_forms(lab.secret("dns").data["tls.key"]),
                "ECDSA key": private_forms(lab.secret("http").data["tls.key"]),
            }
        yield secrets, texts


def test_the_search_would_find_a_secret(watched):
    secrets, _ = watched

    for name, needles in secrets.items():
        assert all(len(needle) > 8 for needle in needles), name
    assert any(needle in f"x{TSIG_SECRET}y" for needle in secrets["TSIG secret"])


def test_everything_that_passed_was_overheard(watched):
    _, texts = watched

    assert "certificate.request" in texts["traffic"]
    assert "certificate.register_account" in texts["bodies"]
    assert "certificate.finalize" in texts["bodies"]
    assert "task-succeeded" in texts["bodies"]
    assert "task-failed" in texts["bodies"]
    assert {"worker1.log", "beat1.log", "responder.log", "flower.log"} <= texts.keys()


def test_no_secret_is_in_a_message_an_event_a_record_a_log_or_flowers_file(watched):
    secrets, texts = watched

    found = [
        (name, where)
        for name, needles in secrets.items()
        for needle in needles
        for where, text in texts.items()
        if needle in text
    ]

    assert found == []


def test_no_pem_of_a_private_key_is_anywhere(watched):
    _, texts = watched

    assert [where for where, text in texts.items() if "PRIVATE KEY-----" in text] == []
    assert [where for where, text in texts.items() if REDIS_PASSWORD in text and where != "traffic"] == []
