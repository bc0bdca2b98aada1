"""good_among_dead_s: 60 domains that will never be issued are queued, then one that can be: how long it
takes.

A third of them have a web server that takes the connection and never answers, a third a name server that
never answers (HTTP-01), a third the same with DNS-01."""

from __future__ import annotations

import time

from tests.bench.dead_ends import HANGING, SILENT, forgetful_dns, hanging_port
from tests.bench.figures import Result
from tests.bench.ground import CORES, TSIG_KEY, Ground

EACH = 20


def measure(ground: Ground) -> Result:
    """Queue the dead, then time the good one, at once and while the dead go on. The worse counts."""
    rfc2136 = {
        "nameserver": ground.bind.address,
        "tsigKeyName": TSIG_KEY,
        "tsigAlgorithm": "HMACSHA256",
        "tsigSecretSecretRef": {"name": "tsig", "key": "secret"},
    }
    with (
        forgetful_dns(ground.bind.port) as dns,
        hanging_port(ground.http01_port),
        ground.installation("dead", recursive_nameservers=dns) as installation,
    ):
        installation.apply(ground.issuer("dns", dns01={"rfc2136": rfc2136}))
        installation.start()
        installation.warm_up()
        client = installation.client
        for number in range(EACH):
            installation.request(f"hanging-{number}", f"h{number}.{HANGING}", client=client)
            installation.request(f"silent-{number}", f"s{number}.{SILENT}", client=client)
            installation.request(f"silent-dns-{number}", f"d{number}.{SILENT}", issuer="dns", client=client)
        took = []
        for good in ("good-at-once", "good-later"):
            began = time.perf_counter()
            installation.request(good, client=client).wait(120)
            took.append(time.perf_counter() - began)
            time.sleep(5.0)
    note = (
        f"dead: {took[0]:.2f} s right behind the dead ones, {took[1]:.2f} s while they are tried again; "
        f"{CORES} workers"
    )
    return Result(figures={"good_among_dead_s": max(took)}, notes=[note])
