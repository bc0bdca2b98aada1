"""Renewal information from a real Pebble: a window that moves, and a certificate that is revoked."""

from __future__ import annotations

import json
import time
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certmill.certificates import statuses
from certmill.clock import instant
from certmill.issuers import account
from certmill.model.names import certificate_id
from certmill.model.object_ref import ObjectRef

CLASSIC = ObjectRef(kind="ClusterIssuer", namespace="", name="classic")
HOUR = 3600.0


def issued(lab, name):
    """Issue a certificate of 90 days, and write its time of issue two hours back; its leaf. Pebble chooses a
    random profile for an order that names none, and the window of a certificate of minutes is not used."""
    lab.apply_issuer("classic", profile="default")
    lab.issue(name, f"{name}.other.test", issuer="classic")
    lab.until(lambda: lab.record(name).step == "", what="the run ends")
    issued_at = time.time() - 2 * HOUR
    statuses.update(
        lab.runtime.ports.home,
        certificate_id("default", name),
        lambda status: replace(status, last_issuance_time=issued_at, history=()),
    )
    return x509.load_pem_x509_certificate(lab.secret(name).data["tls.crt"])


def check_now(lab, name):
    lab.runtime.ports.ari_checks.schedule(certificate_id("default", name), at=0.0)


def test_the_window_of_a_new_certificate_is_read(lab):
    leaf = issued(lab, "window")
    check_now(lab, "window")

    ari = lab.until(lambda: lab.status("window").ari, what="the window is in the status")
    assert leaf.not_valid_before_utc.timestamp() < ari.start < ari.end < leaf.not_valid_after_utc.timestamp()
    assert ari.start <= lab.status("window").renewal_time < ari.end
    assert ari.last_error == ""


def test_a_window_that_the_ca_moves_leads_to_a_renewal(lab):
    leaf = issued(lab, "moved")
    now = time.time()
    window = {"start": instant(now - HOUR).isoformat(), "end": instant(now + 10).isoformat()}
    lab.pebble.set_renewal_info(leaf.public_bytes(Encoding.PEM), json.dumps({"suggestedWindow": window}))
    check_now(lab, "moved")

    lab.until(lambda: lab.leaf("moved").serial != f"{leaf.serial_number:x}", what="it is renewed", seconds=90)
    lab.until(lambda: lab.status("moved").ari is None, what="the window of the former pair is dropped")


def test_beat_sees_a_revocation_and_a_new_certificate_is_issued(lab):
    leaf = issued(lab, "revoked")
    ports = lab.runtime.ports
    account.client(ports, ports.home.issuer(CLASSIC)).revoke(leaf.public_bytes(Encoding.DER))
    check_now(lab, "revoked")

    lab.until(
        lambda: lab.leaf("revoked").serial != f"{leaf.serial_number:x}", what="it is renewed", seconds=90
    )

    status = lab.until(lambda: (found := lab.status("revoked")).revision == 2 and found, what="its status")
    assert status.condition("Ready").status
    assert status.ari is None
