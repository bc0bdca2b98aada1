"""Free ports on loopback. A port may be taken between asking and listening; servers are therefore started
again with others."""

from __future__ import annotations

import socket
from collections.abc import Callable

from compose.servers import ServerFailed

_STARTS = 3


def free_port() -> int:
    """A port that is free now for TCP and UDP on 127.0.0.1."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def free_ports(count: int) -> list[int]:
    """So many different free ports."""
    found: list[int] = []
    while len(found) < count:
        port = free_port()
        if port not in found:
            found.append(port)
    return found


def start_on_free_ports(start: Callable[[], None], *, fixed: bool = False) -> None:
    """Start a server; again if it fails, with other ports, which `start` chooses. Where they are `fixed`,
    once. Raises ServerFailed."""
    for _ in range(0 if fixed else _STARTS - 1):
        try:
            start()
        except ServerFailed:
            continue
        return
    start()


def answers(port: int, *, host: str = "127.0.0.1") -> bool:
    """Is anything listening there?"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
        tcp.settimeout(0.5)
        return tcp.connect_ex((host, port)) == 0
