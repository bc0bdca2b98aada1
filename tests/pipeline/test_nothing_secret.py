"""No key material, token or password in a message, an event, a log, a record, or what Flower keeps: everything that passed is searched."""

from __future__ import annotations

import base64
import re
import threading
from typing import cast

import pytest
import redis as redis_client
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from certmill.client import IssuanceFailed
from compose.servers.redis import RedisServer
from tests.pipeline.lab import EAB_SECRET, TSIG_SECRET, Lab

WRONG_TSIG = base64.b64encode(b"another secret, which BIND refuses").decode()
REDIS_PASSWORD = "a-password-of-redis-itself"


class Overheard:
    """Every command that reached Redis while we listened (MONITOR)."""

    def __init__(self, url: str) -> None:
        self._redis = redis_client.Redis.from_url(url, socket_timeout=None)  # nothing may come for long while processes start
        self._stop = threading.Event()
        self.commands: list[str] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._redis.ping()
        self._thread.join(5)
        self._redis.close()

    def _listen(self):
        with self._redis.monitor() as monitor:
            while not self._stop.is_set():
                self.commands.append(repr(monitor.next_command()))


def forms(secret: bytes) -> list[str]:
    """How a secret may look in a text: as it is, and in base64 of both kinds, at each alignment."""
    encoded = [base64.b64encode(b"\0" * shift + secret)[4 * bool(shift) : -4].decode() for shift in range(3)]
    return [secret.decode("latin-1"), *encoded, *[text.replace("+", "-").replace("/", "_") for text in encoded]]


def decoded(traffic: str) -> str:
    """The bodies of messages and events, which travel in base64."""
    bodies = re.findall(r'"body\\*": \\*"([A-Za-z0-9+/=]+)', traffic)
    return "\n".join(base64.b64decode(body).decode("utf-8", "replace") for body in bodies)


def private_forms(pem: bytes) -> list[str]:
    """A private key's PEM lines, and its private number in hex and base64."""
    key = cast("RSAPrivateKey | EllipticCurvePrivateKey", load_pem_private_key(pem, None))
    lines = [line for line in pem.decode().splitlines() if len(line) > 40 and "-----" not in line]
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    number = key.private_numbers().d if isinstance(key, RSAPrivateKey) else key.private_numbers().private_value
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return [*lines, raw.hex(), *forms(raw)[1:], der.hex()]


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
            lab.until(lambda: "task-failed" in decoded("\n".join(overheard.commands)), what="the failure's event, which travels in a batch")
            dump = "\n".join(_dump(url))
            texts = {path.name: path.read_bytes().decode("latin-1") for path in directory.rglob("*.log")}
            texts |= {
                path.name: path.read_bytes().decode("latin-1") for path in (lab.certmill.home / "flower").rglob("*") if path.is_file()
            }
            traffic = "\n".join(overheard.commands)
            texts |= {"redis": dump, "traffic": traffic, "bodies": decoded(traffic)}
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


def _dump(url):
    client = redis_client.Redis.from_url(url)
    for key in client.scan_iter("*"):
        kind = cast("bytes", client.type(key)).decode()
        read = {
            "string": client.get,
            "hash": client.hgetall,
            "list": lambda k: client.lrange(k, 0, -1),
            "set": client.smembers,
            "zset": lambda k: client.zrange(k, 0, -1, withscores=True),
            "none": lambda k: None,  # a lock that ended meanwhile
        }[kind]
        yield f"{key!r} {read(key)!r}"
    client.close()


def test_the_search_would_find_a_secret(watched):
    secrets, _ = watched

    for name, needles in secrets.items():
        assert all(len(needle) > 8 for needle in needles), name
    assert any(needle in f"x{TSIG_SECRET}y" for needle in secrets["TSIG secret"])


def test_everything_that_passed_was_overheard(watched):
    _, texts = watched

    assert "certificate.finalize" in texts["traffic"]
    assert "task-succeeded" in texts["bodies"]
    assert "task-failed" in texts["bodies"]
    assert {"worker1.log", "beat1.log", "responder.log", "flower.log"} <= texts.keys()


def test_no_secret_is_in_a_message_an_event_a_record_a_log_or_flowers_file(watched):
    secrets, texts = watched

    found = [(name, where) for name, needles in secrets.items() for needle in needles for where, text in texts.items() if needle in text]

    assert found == []


def test_no_pem_of_a_private_key_is_anywhere(watched):
    _, texts = watched

    assert [where for where, text in texts.items() if "PRIVATE KEY-----" in text] == []
    assert [where for where, text in texts.items() if REDIS_PASSWORD in text and where != "traffic"] == []
