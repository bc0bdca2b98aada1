"""Two Certificates with the same names and different keys, as servers use that offer RSA and ECDSA."""

from __future__ import annotations

KEYS = {"RSA": b"-----BEGIN RSA PRIVATE KEY-----", "ECDSA": b"-----BEGIN EC PRIVATE KEY-----"}


def test_an_rsa_and_an_ecdsa_certificate_of_the_same_names_live_side_by_side(lab):
    names = ("both.other.test", "www.both.other.test")
    handles = [
        lab.request(f"both-{algorithm.lower()}", *names, private_key={"algorithm": algorithm})
        for algorithm in KEYS
    ]
    for handle in handles:
        handle.wait(60)
    before = {algorithm: lab.leaf(f"both-{algorithm.lower()}") for algorithm in KEYS}

    for handle in [lab.certmill.client().renew(f"both-{algorithm.lower()}") for algorithm in KEYS]:
        handle.wait(60)

    for algorithm, begins in KEYS.items():
        name = f"both-{algorithm.lower()}"
        assert lab.secret(name).data["tls.key"].startswith(begins)
        assert lab.leaf(name).dns_names == before[algorithm].dns_names == names
        assert lab.leaf(name).serial != before[algorithm].serial
        assert lab.status(name).condition("Ready").status is True
        assert lab.status(name).revision == 2
