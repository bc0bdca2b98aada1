"""Finds free ports on loopback. Another process may take a port before the server listens on it, so a server
that fails is started again on other ports."""

from __future__ import annotations

import socket
from collections.abc import Callable

from compose.servers import ServerFailed

_STARTS = 3


def free_port() -> int:
    """A port of 127.0.0.1 that is free now for TCP and UDP."""
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
    """`count` different free ports."""
    found: list[int] = []
    while len(found) < count:
        port = free_port()
        if port not in found:
            found.append(port)
    return found


def start_on_free_ports(start: Callable[[], None], *, fixed: bool = False) -> None:
    """Call `start`, which chooses the ports. If it fails, call it again, _STARTS times in all; only once if
    the ports are `fixed`.

    Raises ServerFailed if the last call fails.
    """
    for _ in range(0 if fixed else _STARTS - 1):
        try:
            start()
        except ServerFailed:
            continue
        return
    start()


def answers(port: int, *, host: str = "127.0.0.1") -> bool:
    """Whether a server listens on this TCP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
        tcp.settimeout(0.5)
        return tcp.connect_ex((host, port)) == 0
