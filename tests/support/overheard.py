"""Everything that was sent to Redis or is stored in it, and the forms that a secret can have in a text.
For tests that search for secrets."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self, cast

import redis as redis_client
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


class Overheard:
    """Every command that was sent to Redis during this block (MONITOR)."""

    def __init__(self, url: str) -> None:
        self._redis = redis_client.Redis.from_url(
            url, socket_timeout=None
        )  # while processes start, there may be no command for a long time
        self._stop = threading.Event()
        self.commands: list[str] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._redis.ping()
        self._thread.join(5)
        self._redis.close()

    def _listen(self) -> None:
        with self._redis.monitor() as monitor:  # type: ignore[no-untyped-call]
            while not self._stop.is_set():
                self.commands.append(repr(monitor.next_command()))


def forms(secret: bytes) -> list[str]:
    """The forms that a secret can have in a text: as it is, and in base64 of both kinds, at each
    alignment."""
    encoded = [base64.b64encode(b"\0" * shift + secret)[4 * bool(shift) : -4].decode() for shift in range(3)]
    return [
        secret.decode("latin-1"),
        *encoded,
        *[text.replace("+", "-").replace("/", "_") for text in encoded],
    ]


def decoded(traffic: str) -> str:
    """The bodies of messages and events, decoded from base64."""
    bodies = re.findall(r'"body\\*": \\*"([A-Za-z0-9+/=]+)', traffic)
    return "\n".join(base64.b64decode(body).decode("utf-8", "replace") for body in bodies)


def private_forms(pem: bytes) -> list[str]:
    """A private key's PEM lines, and its private number in hex and base64."""
    key = cast("RSAPrivateKey | EllipticCurvePrivateKey", load_pem_private_key(pem, None))
    lines = [line for line in pem.decode().splitlines() if len(line) > 40 and "-----" not in line]
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    number = (
        key.private_numbers().d if isinstance(key, RSAPrivateKey) else key.private_numbers().private_value
    )
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return [*lines, raw.hex(), *forms(raw)[1:], der.hex()]


def dump(url: str) -> Iterator[str]:
    """Every key of Redis with its value, a line each."""
    client = redis_client.Redis.from_url(url)
    for key in client.scan_iter("*"):
        kind = cast("bytes", client.type(key)).decode()
        readers: dict[str, Callable[[Any], object]] = {
            "string": client.get,
            "hash": client.hgetall,
            "list": lambda k: client.lrange(k, 0, -1),
            "set": client.smembers,
            "zset": lambda k: client.zrange(k, 0, -1, withscores=True),
            "none": lambda k: None,  # a lock that ended meanwhile
        }
        yield f"{key!r} {readers[kind](key)!r}"
    client.close()
