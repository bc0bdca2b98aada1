"""Invalid input: each case gives one clear message that names the field or the file, and everything else
continues."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest
import yaml

from certmill.client import IssuanceFailed
from certmill.errors import InvalidManifest
from tests.support.preloaded import run_preloaded

CERTIFICATE: dict[str, Any] = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Certificate",
    "metadata": {"name": "web"},
    "spec": {
        "secretName": "web",
        "dnsNames": ["web.other.test"],
        "issuerRef": {"name": "prod", "kind": "ClusterIssuer"},
    },
}
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]" for n in range(9)
)


def certificate(name="bad", **spec):
    return yaml.safe_dump(
        {
            **CERTIFICATE,
            "metadata": {"name": name},
            "spec": {**CERTIFICATE["spec"], "secretName": name, **spec},
        }
    )


def certmill(lab, *arguments, stdin=""):
    """Run the command, in a process of its own, on the lab's home and Redis."""
    environment = {**os.environ, **lab.certmill.environment}
    return run_preloaded("tests.support.command", *arguments, stdin=stdin, environment=environment)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        pytest.param(BOMB, "grows too large when its aliases are expanded", id="a YAML bomb"),
        pytest.param("x: " + "y" * 2_000_000, "larger", id="a manifest of 2 MB"),
        pytest.param("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n", "kind", id="an unknown kind"),
        pytest.param(certificate(dnsname=["x.test"]), "spec.dnsname", id="an unknown field"),
        pytest.param(certificate(dnsNames="x.test"), "spec.dnsNames", id="a wrong type"),
        pytest.param(
            certificate(dnsNames=["ok.test", "no_such name"]),
            "spec.dnsNames[1]",
            id="a name that is no DNS name",
        ),
        pytest.param(
            certificate(dnsNames=[f"n{n}.test" for n in range(101)]), "spec.dnsNames", id="101 names"
        ),
        pytest.param(
            certificate(commonName="other.test"),
            "spec.commonName",
            id="a common name that is not among the names",
        ),
        pytest.param(
            certificate(keystores={"jks": {"create": True}}),
            "spec.keystores",
            id="a field that is not acted on yet",
        ),
        pytest.param("{unclosed", "is not valid YAML", id="no YAML at all"),
    ],
)
def test_a_bad_manifest_gets_one_clear_message_and_the_good_one_beside_it_is_applied(
    lab, tmp_path, manifest, message
):
    (tmp_path / "bad.yaml").write_text(manifest)
    (tmp_path / "good.yaml").write_text(certificate(name="good"))

    done = certmill(lab, "apply", "-f", str(tmp_path))

    complaints = [line for line in done.stderr.splitlines() if "bad.yaml" in line]
    assert done.returncode == 1
    assert len(complaints) == 1, done.stderr
    assert message in complaints[0]
    assert len(complaints[0]) < 600
    assert "good" in done.stdout
    assert "Traceback" not in done.stderr


def test_an_internationalised_name_is_requested_in_ascii(lab):
    done = certmill(lab, "apply", "-f", "-", stdin=certificate(name="idna", dnsNames=["Bücher.other.test"]))

    assert done.returncode == 0, done.stderr
    lab.until(lambda: lab.runtime.ports.home.secret("default", "idna"), what="issued")
    assert lab.leaf("idna").dns_names == ("xn--bcher-kva.other.test",)


def test_a_bad_request_is_refused_at_the_client_with_the_path_of_the_field(lab):
    with pytest.raises(InvalidManifest, match=r"spec\.dnsNames\[0\]"):
        lab.request("bad", "not a name")


def test_a_bad_request_that_arrives_anyway_is_kept_with_its_reason(lab):
    client = lab.certmill.client()
    client._send(
        "certificate.request",
        args=({"name": "bad-anyway", "spec": {"dnsNames": ["x"], "hack": 1}},),
        queue="certmill.requests",
        task_id="bad-anyway-id",
        argsrepr="x",
    )

    lab.until(lambda: lab.runtime.ports.requests.find("bad-anyway-id"), what="refused")
    shown = certmill(lab, "get", "requests")

    assert "default/bad-anyway" in shown.stdout
    assert "spec." in shown.stdout


def test_a_wrong_tsig_secret_names_the_server_and_what_to_do(lab):
    lab.apply_issuer("wrongtsig", tsig_secret=base64.b64encode(b"x" * 32).decode())

    with pytest.raises(IssuanceFailed, match=r"(?i)tsig|refuse") as caught:
        lab.request("wrongtsig", "wrongtsig.example.test", issuer="wrongtsig").wait(60)

    assert "\n" not in str(caught.value)
    assert lab.status("wrongtsig").next_attempt > lab.status("wrongtsig").last_failure_time


def test_a_missing_solver_secret_is_named_and_the_certificate_follows_it(lab):
    lab.apply_issuer("nosecret")
    lab.runtime.ports.home.delete_secret("cert-manager", "nosecret-tsig")

    with pytest.raises(IssuanceFailed, match="cert-manager/nosecret-tsig"):
        lab.request("nosecret", "nosecret.example.test", issuer="nosecret").wait(60)
    lab.apply_issuer("nosecret")

    lab.until(
        lambda: lab.runtime.ports.home.secret("default", "nosecret"), what="issued after the Secret was there"
    )


def test_a_megabyte_of_crafted_pem_in_a_secret_is_issued_anew_and_stops_nobody(lab):
    lab.issue("crafted", "crafted.other.test")
    directory = lab.certmill.home / "secrets" / "default" / "crafted"
    (directory / "tls.crt").unlink()
    (directory / "tls.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\n" * 36_000)
    lab.runtime.ports.snapshots.request_reread()

    lab.issue("beside-crafted", "beside-crafted.other.test")

    lab.until(lambda: len(lab.secret("crafted").data["tls.crt"]) < 20_000, what="issued anew")


def test_a_run_waits_while_the_home_is_read_only_and_continues_later(lab):
    namespace = lab.certmill.home / "secrets" / "readonly"
    namespace.parent.mkdir(exist_ok=True)
    namespace.write_text("a file where a directory has to be")
    handle = lab.certmill.client().request(
        name="stuck", namespace="readonly", dns_names=["stuck.other.test"], issuer="prod"
    )

    waiting = lab.until(lambda: "readonly" in (s := handle.status()).reason and s, what="waits for the home")
    assert waiting.phase == "waiting"
    assert waiting.next_at is not None
    namespace.unlink()

    handle.wait(90)
    assert lab.runtime.ports.home.secret("readonly", "stuck") is not None
