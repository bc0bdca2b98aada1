"""The command on a real home and a real Redis: what it prints, on which stream, and its exit codes."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from certmill import contract
from certmill.budgets.buckets import Account
from certmill.certificates.conditions import not_owner
from certmill.cli import main
from certmill.model.certificate import KeyAlgorithm
from certmill.model.history import PastRun
from certmill.model.names import CertificateId
from certmill.model.rate_limit import LimitName, RateLimit
from certmill.model.status import CertificateStatus, Condition
from certmill.model.trigger import Origin
from certmill.runs.facts import ChallengeFacts, Facts
from certmill.runtime import Runtime
from certmill.settings import load
from certmill.state.records import Due
from certmill.state.requests import Rejection
from tests.support.odd_entries import ODD_ENTRIES, make_odd_entries

WEB = CertificateId("default/web")
TOKEN = "token-that-nobody-may-see"

ISSUER = """\
apiVersion: cert-manager.io/v1
kind: Issuer
metadata:
  name: prod
spec:
  acme:
    server: https://ca.example/dir
    email: ops@example.com
    privateKeySecretRef:
      name: prod-account
    solvers:
    - selector:
        dnsZones: [example.org]
      dns01:
        rfc2136:
          nameserver: 192.0.2.53
          tsigKeyName: key
          tsigAlgorithm: HMACSHA256
          tsigSecretSecretRef:
            name: tsig
            key: secret
    - http01:
        ingress: {}
"""
CERTIFICATE = """\
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: web
spec:
  secretName: web-tls
  dnsNames: [web.example.com]
  issuerRef:
    name: prod
  privateKey:
    algorithm: ECDSA
    size: 256
"""
SECRET = """\
apiVersion: v1
kind: Secret
metadata:
  name: tsig
stringData:
  secret: hush-hush
"""
BAD = """\
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: bad
spec:
  secretName: bad
  dnsNames: [bad.example.com]
  issuerRef:
    name: prod
  colour: red
"""


COMMAND = f"{sys.executable} -c 'import sys; from certmill.cli import main; sys.exit(main())'"


def outside(*arguments, stdout):
    """The command in a process of its own."""
    return subprocess.run(
        ["sh", "-c", f'exec {COMMAND} "$@"', "certmill", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def url(redis_server):
    return redis_server.url.replace("/0", "/8")


@pytest.fixture
def home(tmp_path, monkeypatch, url):
    """A home of one's own; the settings name it and Redis."""
    for name in [name for name in os.environ if name.startswith("CERTMILL_") or name == "REDIS_URL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CERTMILL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CERTMILL_REDIS_URL", url)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


@pytest.fixture
def runtime(home):
    opened = Runtime.open(load())
    opened.redis.flushdb()
    yield opened
    opened.redis.flushdb()
    opened.close()


@pytest.fixture
def certmill(home, runtime, capsys):
    """Run the command: (exit code, lines on stdout, what is on stderr)."""

    def run(*arguments):
        capsys.readouterr()
        try:
            code = int(main(arguments))
        except SystemExit as exited:
            code = int(exited.code or 0)
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return run


@pytest.fixture
def manifests(tmp_path):
    """A directory with all of it in two files."""
    directory = tmp_path / "given"
    directory.mkdir()
    (directory / "10-issuer.yaml").write_text(f"{ISSUER}---\n{SECRET}")
    (directory / "20-certificate.yml").write_text(CERTIFICATE)
    (directory / "README.md").write_text("not a manifest")
    return directory


@pytest.fixture
def applied(certmill, manifests):
    """All of it applied."""
    assert certmill("apply", "-f", str(manifests))[0] == 0
    return certmill


def columns(line):
    return [cell.strip() for cell in line.split("   ") if cell.strip()]


def ready(message="Certificate is up to date and has not expired", *, status=True, at=1_700_000_000.0):
    return Condition(type="Ready", status=status, reason="Ready", message=message, last_transition=at)


class TestApply:
    def test_each_document_is_created_then_unchanged_then_configured(self, certmill, manifests, runtime):
        assert certmill("apply", "-f", str(manifests)) == (
            0,
            [
                "issuer.cert-manager.io/prod created",
                "secret/tsig created",
                "certificate.cert-manager.io/web created",
            ],
            "",
        )
        assert runtime.ports.snapshots.take_reread_request()
        assert {line.split()[-1] for line in certmill("apply", "-f", str(manifests))[1]} == {"unchanged"}

        (manifests / "20-certificate.yml").write_text(
            CERTIFICATE.replace("[web.example.com]", "[web.example.com, www.example.com]")
        )

        assert certmill("apply", "-f", str(manifests / "20-certificate.yml"))[1] == [
            "certificate.cert-manager.io/web configured"
        ]

    def test_standard_input_is_a_file_too(self, certmill, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ISSUER.encode())))

        assert certmill("apply", "-f", "-", "-n", "shop")[1] == ["issuer.cert-manager.io/prod created"]
        assert certmill("get", "issuers", "prod", "-n", "shop")[0] == 0

    def test_a_bad_document_is_one_line_with_file_and_field_and_the_rest_goes_on(self, certmill, tmp_path):
        (tmp_path / "all.yaml").write_text(f"{BAD}---\n{CERTIFICATE}")

        code, out, err = certmill(
            "apply", "-f", str(tmp_path / "all.yaml"), "-f", str(tmp_path / "absent.yaml")
        )

        assert (code, out) == (1, ["certificate.cert-manager.io/web created"])
        assert len(err.splitlines()) == 2
        assert "all.yaml" in err.splitlines()[0]
        assert "spec.colour" in err.splitlines()[0]
        assert (
            err.splitlines()[1] == f"error: {tmp_path}/absent.yaml: cannot be read: No such file or directory"
        )

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"\xff\xfe\x00", "is not UTF-8 text"),
            (b"# " + b"x" * 2_000_000, "is larger than 1048576 bytes; split it"),
            (b"", "it.yaml: has no document"),
        ],
    )
    def test_a_file_that_is_no_manifest_is_refused_with_its_name(self, certmill, tmp_path, content, said):
        (tmp_path / "it.yaml").write_bytes(content)

        code, out, err = certmill("apply", "-f", str(tmp_path / "it.yaml"))

        assert (code, out) == (1, [])
        assert said in err
        assert len(err.splitlines()) == 1

    def test_odd_entries_of_the_home_are_named_by_apply_and_by_get_which_go_on(
        self, certmill, manifests, home
    ):
        (home / "manifests").mkdir(parents=True)
        make_odd_entries(home / "manifests")

        code, out, err = certmill("apply", "-f", str(manifests))
        shown = certmill("get", "certs")

        assert (code, len(out)) == (0, 3)
        assert (shown[0], len(shown[1]), shown[2]) == (0, 2, err)
        assert sorted(err.splitlines()) == sorted(
            f"warning: {source}: {message}" for source, message in ODD_ENTRIES.items()
        )

    def test_without_redis_it_is_kept_and_said_to_be_acted_on_later(self, certmill, manifests, home):
        code, out, err = certmill("--redis-url", "redis://127.0.0.1:1/0", "apply", "-f", str(manifests))

        assert (code, len(out)) == (0, 3)
        assert err.startswith("warning: Redis does not answer")
        assert "(30 s after Redis answers, at most)" in err


class TestGet:
    def test_certificates_have_the_columns_of_cert_manager(self, applied, runtime):
        now = runtime.ports.clock.now()
        status = CertificateStatus(conditions=(ready(at=now - 3 * 86_400),), not_after=1_900_000_000.0)
        runtime.ports.home.write_certificate_status(WEB, status)

        assert applied("get", "certificates")[1] == [
            "NAME   READY   SECRET    AGE",
            "web    True    web-tls   3d",
        ]
        code, (header, row), err = applied("get", "certs", "-A", "-o", "wide")
        assert (code, err) == (0, "")
        assert header.split() == [
            "NAMESPACE",
            "NAME",
            "READY",
            "SECRET",
            "AGE",
            "ISSUER",
            "STATUS",
            "EXPIRATION",
        ]
        assert columns(row)[-3:] == [
            "prod",
            "Certificate is up to date and has not expired",
            "2030-03-17T17:46:40Z",
        ]

    def test_without_a_condition_ready_is_empty_and_the_age_is_that_of_the_manifest(self, applied):
        header, row = applied("get", "cert", "web")[1]

        assert row.split()[:2] == ["web", "web-tls"]
        assert row.index("web-tls") == header.index("SECRET")
        assert row.split()[2].endswith("s")

    def test_a_pair_that_expired_while_everything_was_stopped_is_not_ready(self, applied, runtime):
        past = runtime.ports.clock.now() - 60
        runtime.ports.home.write_certificate_status(
            WEB, CertificateStatus(conditions=(ready(),), not_after=past)
        )

        code, (_, row), _ = applied("get", "certs", "-o", "wide")
        found = json.loads("\n".join(applied("get", "cert", "web", "-o", "json")[1]))["status"]["conditions"][
            0
        ]
        told = applied("describe", "cert", "web")[1]

        assert (code, row.split()[1]) == (0, "False")
        assert "Certificate expired on " in row
        assert (found["status"], found["reason"]) == ("False", "Expired")
        assert [line.split()[1] for line in told if line.startswith("Ready:")] == ["False"]

    def test_a_check_is_exit_4_unless_all_is_ready(self, applied, runtime, home):
        def check(*more):
            return applied("get", "certs", "--check", *more)[0]

        assert check() == 4
        now = runtime.ports.clock.now()
        runtime.ports.home.write_certificate_status(
            WEB, CertificateStatus(conditions=(ready(),), not_after=now + 60)
        )
        assert (check(), check("-o", "yaml"), applied("get", "cert", "web", "--check")[0]) == (0, 0, 0)
        runtime.ports.home.write_certificate_status(
            WEB, CertificateStatus(conditions=(ready(),), not_after=now - 60)
        )
        assert (check(), applied("get", "cert", "web", "--check")[0], applied("get", "certs")[0]) == (4, 4, 0)
        assert applied("get", "cert", "web", "nope", "--check")[0] == 3
        assert applied("get", "issuers", "--check")[0] == 4
        assert applied("get", "secrets", "--check")[0] == 2

    def test_a_manifest_that_cannot_be_used_fails_the_check(self, applied, runtime, home):
        ready_until = CertificateStatus(conditions=(ready(),), not_after=runtime.ports.clock.now() + 60)
        runtime.ports.home.write_certificate_status(WEB, ready_until)
        (home / "manifests" / "mine.yaml").write_text(BAD)

        assert (applied("get", "certs")[0], applied("get", "certs", "--check")[0]) == (0, 4)

    def test_a_home_without_a_manifest_fails_the_check(self, certmill):
        elsewhere = ("--home", "/no/such/home")

        assert certmill(*elsewhere, "get", "certs")[0] == 0
        code, out, err = certmill(*elsewhere, "get", "certs", "-A", "--check")
        assert (code, out) == (4, [])
        assert "note: the home /no/such/home has no manifest; check CERTMILL_HOME" in err

    def test_a_check_of_an_empty_namespace_passes(self, applied):
        assert applied("get", "certs", "-n", "elsewhere", "--check")[0] == 0

    def test_what_holds_a_certificate_up_is_in_the_last_column(self, applied, runtime, home, tmp_path):
        records, now = runtime.ports.records, runtime.ports.clock.now()

        assert columns(applied("get", "certs")[1][0]) == ["NAME", "READY", "SECRET", "AGE", "CAUSE"]
        assert applied("get", "certs")[1][1].endswith(
            "no-worker: no worker has taken it up yet: check that workers and beat are running"
        )
        records.begin(
            WEB,
            now=now,
            steps=("create_order", "clean_up"),
            spec="s",
            origin=Origin(),
            in_flight_until=now + 10,
        )
        assert applied("get", "certs")[1][1].endswith("no-worker: no worker has taken it up yet")
        record = records.claim(WEB, "create_order", now=now, lease_seconds=60, task_id="t", root_id="r")
        assert "CAUSE" not in applied("get", "certs")[1][0]
        waits = {"reason": "too many orders", "due": f"{now + 300:.3f}", "wait_class": "rate-limited"}
        records.commit(
            WEB, fence=record.fence, step="create_order", due=Due.WAITING, at=now + 300, fields=waits
        )
        assert "rate-limited: until " in applied("get", "certs")[1][1]
        assert applied("get", "certs", "-o", "wide")[1][1].endswith(": too many orders")
        assert any(
            line.startswith("Cause:") and "too many orders" in line
            for line in applied("describe", "cert", "web")[1]
        )
        runtime.redis.flushdb()
        applied("delete", "issuer", "prod")
        assert applied("get", "certs")[1][1].endswith("issuer: Issuer prod is not there: apply it")
        (tmp_path / "cluster.yaml").write_text(ISSUER.replace("kind: Issuer", "kind: ClusterIssuer"))
        applied("apply", "-f", str(tmp_path / "cluster.yaml"))
        assert applied("get", "certs")[1][1].endswith(
            "apply it, or set spec.issuerRef.kind to ClusterIssuer, of which there is one of this name"
        )

    def test_issuers_and_cluster_issuers(self, applied, runtime, tmp_path):
        cluster = ISSUER.replace("kind: Issuer", "kind: ClusterIssuer").replace(
            "name: prod\n", "name: le\n", 1
        )
        (tmp_path / "ciss.yaml").write_text(cluster)
        applied("apply", "-f", str(tmp_path / "ciss.yaml"))

        assert applied("get", "issuers", "-o", "wide")[1][0].split() == ["NAME", "READY", "AGE", "STATUS"]
        assert [line.split()[0] for line in applied("get", "issuers")[1]] == ["NAME", "prod"]
        assert [line.split()[0] for line in applied("get", "ciss", "-n", "elsewhere")[1]] == ["NAME", "le"]

    def test_a_table_of_secrets_shows_no_value(self, applied):
        _, out, _ = applied("get", "secrets")

        assert out[0].split() == ["NAME", "TYPE", "DATA", "AGE"]
        assert out[1].split()[:3] == ["tsig", "Opaque", "1"]
        assert "hush" not in "".join(out)

    @pytest.mark.parametrize(("output", "load_text"), [("yaml", yaml.safe_load), ("json", json.loads)])
    def test_whole_objects_are_cert_managers(self, applied, runtime, output, load_text):
        runtime.ports.home.write_certificate_status(WEB, CertificateStatus(conditions=(ready(),), revision=2))

        found = load_text("\n".join(applied("get", "cert", "web", "-o", output)[1]))
        several = load_text("\n".join(applied("get", "cert", "-o", output)[1]))
        secret = load_text("\n".join(applied("get", "secret", "tsig", "-o", output)[1]))

        assert (found["apiVersion"], found["kind"], found["metadata"]["name"]) == (
            "cert-manager.io/v1",
            "Certificate",
            "web",
        )
        assert found["spec"]["dnsNames"] == ["web.example.com"]
        assert found["status"]["revision"] == 2
        assert found["status"]["conditions"][0]["status"] == "True"
        assert several["items"] == [found]
        assert base64.b64decode(secret["data"]["secret"]) == b"hush-hush"

    @pytest.mark.parametrize("kind", ["issuer", "certificate"])
    def test_what_get_prints_can_be_applied_again_and_changes_nothing(self, applied, tmp_path, kind):
        name = {"issuer": "prod", "certificate": "web"}[kind]
        (tmp_path / "again.yaml").write_text("\n".join(applied("get", kind, name, "-o", "yaml")[1]))

        code, out, err = applied("apply", "-f", str(tmp_path / "again.yaml"))

        assert (code, err) == (0, "")
        assert out[0].endswith("unchanged")

    def test_what_is_not_there_is_not_found(self, applied):
        assert applied("get", "certificate", "nope") == (
            3,
            [],
            'error: certificate "nope" not found in namespace "default"\n',
        )
        assert applied("get", "ciss", "nope") == (3, [], 'error: clusterissuer "nope" not found\n')
        assert applied("get", "secret", "../../etc")[0] == 3

    def test_none_is_no_error(self, applied):
        assert applied("get", "certs", "-n", "empty") == (
            0,
            [],
            "note: no certificates found in namespace empty\n",
        )
        assert applied("get", "ciss") == (0, [], "note: no clusterissuers found\n")

    def test_a_bad_manifest_in_the_home_is_said_and_the_rest_is_shown(self, applied, home):
        (home / "manifests" / "mine.yaml").write_text(BAD)

        code, out, err = applied("get", "certs")

        assert (code, len(out)) == (0, 2)
        assert err.startswith("warning: manifests/mine.yaml")
        assert "spec.colour" in err

    def test_refused_requests_are_listed_with_their_reason(self, certmill, runtime):
        now = runtime.ports.clock.now()
        rejection = Rejection(
            at=now - 65, request_id="7", certificate="default/web", reason="spec.dnsNames[0]: \x1b[31mbad"
        )
        runtime.ports.requests.reject(rejection)

        code, out, _ = certmill("get", "requests")

        assert (code, out[0].split()) == (0, ["AGE", "CERTIFICATE", "REASON"])
        assert columns(out[1]) == ["65s", "default/web", "spec.dnsNames[0]: ?[31mbad"]
        assert (
            json.loads("\n".join(certmill("get", "requests", "-o", "json")[1]))["items"][0]["requestId"]
            == "7"
        )

    def test_everything_but_requests_works_without_redis(self, applied):
        away = ("--redis-url", "redis://127.0.0.1:1/0")

        assert applied(*away, "get", "certs")[0] == 0
        assert applied(*away, "get", "requests")[0] == 5
        code, out, err = applied(*away, "describe", "cert", "web")
        assert (code, out[-1][:5]) == (0, "Next:")
        assert out[-1].endswith("; nothing is done while Redis does not answer")
        assert err.startswith("note: Redis does not answer")


class TestDescribe:
    def test_a_certificate_in_flight_says_its_step_why_it_waits_and_never_a_token(self, applied, runtime):
        records, now = runtime.ports.records, runtime.ports.clock.now()
        challenge = ChallengeFacts(
            authorization="a",
            url="u",
            type="dns-01",
            token=TOKEN,
            identifier="web.example.com",
            record_name="_acme-challenge.web.example.com",
            value=TOKEN,
        )
        options = {"spec": "s", "origin": Origin(root_id="r"), "in_flight_until": now + 10}
        records.begin(WEB, now=now, steps=("wait_for_propagation", "clean_up"), **options)
        record = records.claim(
            WEB, "wait_for_propagation", now=now, lease_seconds=60, task_id="t", root_id="r"
        )
        waits = {
            "facts": Facts(challenges=(challenge,)).to_json(),
            "reason": "ns2 does not have it yet",
            "due": f"{now + 300:.3f}",
            "tries": "3",
        }
        records.commit(
            WEB, fence=record.fence, step="wait_for_propagation", due=Due.WAITING, at=now + 300, fields=waits
        )

        code, out, err = applied("describe", "certificate", "web")

        text = "\n".join(out)
        assert (code, err) == (0, "")
        assert "wait_for_propagation (step 4 of 8)" in text
        assert "ns2 does not have it yet (tried 3 times)" in text
        assert "_acme-challenge.web.example.com" in text
        assert out[-1].startswith("Next: tries wait_for_propagation again in ")
        assert out[-1].endswith(", because ns2 does not have it yet")
        assert TOKEN not in text

    @pytest.mark.parametrize(
        ("tries", "said"), [("0", ""), ("1", " (tried once)"), ("2", " (tried 2 times)")]
    )
    def test_a_wait_for_its_turn_is_no_try(self, applied, runtime, tries, said):
        records, now = runtime.ports.records, runtime.ports.clock.now()
        records.begin(
            WEB,
            now=now,
            steps=("clean_up", "clean_up"),
            spec="s",
            origin=Origin(root_id="r"),
            in_flight_until=now + 10,
        )
        record = records.claim(WEB, "clean_up", now=now, lease_seconds=60, task_id="t", root_id="r")
        waits = {"reason": "another worker is writing to the zone", "due": f"{now + 300:.3f}", "tries": tries}
        records.commit(WEB, fence=record.fence, step="clean_up", due=Due.WAITING, at=now + 300, fields=waits)

        (line,) = [line for line in applied("describe", "certificate", "web")[1] if "Waits:" in line]

        assert line.endswith(f"another worker is writing to the zone{said}")

    def test_a_run_of_another_release_with_unreadable_facts_is_described_without_them(self, applied, runtime):
        records, now = runtime.ports.records, runtime.ports.clock.now()
        records.begin(
            WEB,
            now=now,
            steps=("finalize", "clean_up"),
            spec="s",
            origin=Origin(root_id="r"),
            in_flight_until=now + 10,
        )
        record = records.claim(WEB, "finalize", now=now, lease_seconds=60, task_id="t", root_id="r")
        records.keep(
            WEB, fence=record.fence, now=now, lease_seconds=60, fields={"facts": '{"of": "another release"}'}
        )

        code, out, err = applied("describe", "certificate", "web")

        assert (code, err) == (0, "")
        assert "finalize (step 6 of 8)" in "\n".join(out)
        assert out[-1] == "Next: a worker asks the CA to issue the certificate now"

    def test_a_new_certificate_says_what_happens_next(self, applied):
        out = applied("describe", "cert", "web")[1]

        assert "Issuer:     Issuer prod" in out
        assert "Secret:     web-tls (not there yet)" in out
        assert "Key:        ECDSA 256, PKCS1, rotationPolicy Always" in out
        assert (
            out[-1] == "Next: is issued when a worker reconciles it (within 30 s): "
            "Issuing certificate as Secret does not exist"
        )

    def test_an_ed25519_key_has_no_size_and_one_encoding(self, certmill, tmp_path):
        (tmp_path / "web.yaml").write_text(CERTIFICATE.replace("algorithm: ECDSA", "algorithm: Ed25519"))
        certmill("apply", "-f", str(tmp_path / "web.yaml"))

        assert "Key:        Ed25519, PKCS8, rotationPolicy Always" in certmill("describe", "cert", "web")[1]

    def test_what_waits_for_another_owner_of_its_secret_says_so(self, applied, runtime, tmp_path):
        (tmp_path / "rival.yaml").write_text(CERTIFICATE.replace("name: web\n", "name: rival\n", 1))
        applied("apply", "-f", str(tmp_path / "rival.yaml"))
        waits = not_owner(CertificateStatus(), "web", issued=False, now=runtime.ports.clock.now())
        runtime.ports.home.write_certificate_status(CertificateId("default/rival"), waits)
        belongs = "Secret web-tls belongs to Certificate web: give one of them another secretName"

        rows = applied("get", "certificates")[1]
        out = applied("describe", "cert", "rival")[1]

        assert [row for row in rows if row.startswith("rival ") and row.endswith(f"refused: {belongs}")]
        assert f"Cause:      refused: {belongs}" in out
        assert (
            out[-1] == "Next: nothing, while Secret web-tls belongs to Certificate web: "
            "give one of them another secretName"
        )

        applied("delete", "certificate", "web")
        assert applied("describe", "cert", "rival")[1][-1].startswith(
            "Next: is issued when a worker reconciles it"
        )

    def test_past_runs_are_reported_with_how_they_ended_the_newest_first(self, applied, runtime):
        now = runtime.ports.clock.now()
        failed = PastRun(at=now - 7200, message="the CA refuses \x1bweb.example.com", times=3)
        history = (failed, PastRun(at=now - 60, issued=True, message="serial 07, valid until 2030-01-01"))
        runtime.ports.home.write_certificate_status(WEB, CertificateStatus(history=history))

        out = applied("describe", "cert", "web")[1]

        start = out.index("History:")
        assert columns(out[start + 2])[-2:] == ["issued", "serial 07, valid until 2030-01-01"]
        assert "(60s ago)" in out[start + 2]
        assert columns(out[start + 3])[-2:] == ["failed (3 times)", "the CA refuses ?web.example.com"]

    def test_an_issuer_shows_its_solvers(self, applied):
        code, out, _ = applied("describe", "issuer", "prod")

        assert code == 0
        assert "Account:      not registered yet" in out
        assert [columns(line) for line in out[-2:]] == [
            ["dns-01", "RFC 2136, 192.0.2.53", "zone example.org"],
            ["http-01", "the responder", "every name"],
        ]

    def test_an_issuer_shows_its_rate_limits_and_what_is_left(self, applied, runtime, tmp_path):
        limits = (
            '{certmill.io/rate-limits: "new-orders-per-account=9/3h, new-certificates-per-exact-set=5/7h"}'
        )
        issuer = ISSUER.replace("metadata:\n", f"metadata:\n  annotations: {limits}\n", 1)
        (tmp_path / "issuer.yaml").write_text(issuer)
        applied("apply", "-f", str(tmp_path / "issuer.yaml"))
        account = Account(
            server="https://ca.example/dir",
            uri="",
            limits={LimitName.NEW_ORDERS: RateLimit(count=9, seconds=10_800)},
        )
        runtime.ports.buckets.spend(account.of_the_account(), receipt="1", now=runtime.ports.clock.now())

        out = applied("describe", "issuer", "prod")[1]

        start = out.index("Rate limits:")
        assert [columns(line) for line in out[start + 1 : start + 4]] == [
            ["LIMIT", "ALLOWED", "LEFT"],
            ["new-orders-per-account", "9 in 3 h", "8"],
            ["new-certificates-per-exact-set", "5 in 7 h"],
        ]

    def test_an_external_account_shows_where_its_key_is(self, applied, tmp_path):
        binding = "externalAccountBinding: {keyID: kid-1, keySecretRef: {name: eab, key: hmac}}"
        (tmp_path / "issuer.yaml").write_text(ISSUER.replace("    email:", f"    {binding}\n    email:"))
        applied("apply", "-f", str(tmp_path / "issuer.yaml"))

        out = applied("describe", "issuer", "prod")[1]

        assert "External account:  kid-1, its key in Secret default/eab, key hmac" in out

    def test_a_secret_shows_sizes_and_no_value(self, applied):
        code, out, _ = applied("describe", "secret", "tsig")

        assert code == 0
        assert "  secret:  9 bytes" in out
        assert "hush" not in "\n".join(out)

    @pytest.mark.parametrize("kind", ["certificate", "issuer", "clusterissuer", "secret"])
    def test_what_is_not_there_is_not_found(self, certmill, kind):
        code, out, err = certmill("describe", kind, "nope")

        assert (code, out) == (3, [])
        assert err.startswith(f'error: {kind} "nope" not found')


class TestDelete:
    def test_a_certificate_goes_and_the_home_is_read_again(self, applied, runtime):
        runtime.ports.snapshots.take_reread_request()

        assert applied("delete", "certificate", "web") == (0, ["certificate.cert-manager.io/web deleted"], "")
        assert runtime.ports.snapshots.take_reread_request()
        assert applied("get", "cert", "web")[0] == 3

    def test_what_is_not_there_is_an_error_and_the_others_go(self, applied):
        code, out, err = applied("delete", "secret", "nope", "tsig")

        assert (code, out) == (3, ["secret/tsig deleted"])
        assert err == 'error: secret "nope" not found in namespace "default"\n'

    def test_requests_cannot_be_deleted(self, certmill):
        code, _, err = certmill("delete", "requests", "7")

        assert code == 2
        assert "is not one of certificates, issuers, clusterissuers, secrets" in err


class Worker(threading.Thread):
    """Takes one request from the queue and plays its run, as a worker would; `fails`: at validate, with this
    reason."""

    def __init__(self, runtime, secret=None, fails=""):
        super().__init__(daemon=True)
        self.runtime, self.secret, self.fails = runtime, secret, fails
        self.body, self.task = None, ""

    def run(self):
        _, message = self.runtime.redis.brpop([contract.REQUESTS_QUEUE], timeout=60)
        message = json.loads(message)
        self.task = message["headers"]["task"]
        self.body = json.loads(base64.b64decode(message["body"]))[0][0]
        take = (
            self.runtime.requests.request
            if self.task == contract.REQUEST_TASK
            else self.runtime.requests.renew
        )
        taken = take(self.body, request_id=message["headers"]["id"])
        if taken is not None:
            self._steps(taken[0])

    def _steps(self, certificate):
        for step, following in zip(contract.STEP_NAMES, (*contract.STEP_NAMES[1:], ""), strict=True):
            if self.fails and step in ("finalize", "store_secret"):
                continue
            now = self.runtime.ports.clock.now()
            record = self.runtime.ports.records.claim(
                certificate, step, now=now, lease_seconds=60, task_id="t", root_id="r"
            )
            threading.Event().wait(
                1.5 if step == "finalize" else 0.15
            )  # whoever follows has to come to look at this one
            fields = {}
            if step == "store_secret":
                self.runtime.ports.home.write_secret(self.secret)
            failing = self.fails and step == "validate"
            if failing:
                fields = {"reason": self.fails}
            if not following:
                fields = {"done": str(record.run), "result": self.fails or "issued"}
            due = Due.IN_FLIGHT if following else Due.RENEWALS
            at = "clean_up" if failing else following
            self.runtime.ports.records.commit(
                certificate, fence=record.fence, step=at, due=due, at=now + 60, fields=fields
            )


@pytest.fixture
def pair():
    """A Secret with a self-signed pair for web.example.com."""
    from certmill.crypto import keys
    from certmill.model.certificate import KeyEncoding, PrivateKeySpec
    from certmill.model.secret import TLS_TYPE, Secret
    from tests.support.certificates import a_leaf, alternative_names, as_pem, private_key

    pem = keys.generate(PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=256, encoding=KeyEncoding.PKCS8))
    begins = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    names = alternative_names(["web.example.com"])
    leaf = a_leaf(private_key(pem), names=names, not_before=begins, days=3650)
    data = {"tls.crt": as_pem(leaf), "tls.key": pem}
    return Secret(namespace="default", name="web.example.com", type=TLS_TYPE, data=data)


class TestAsking:
    def test_a_request_is_put_on_the_queue_and_says_how_to_follow_it(self, applied, runtime):
        code, out, err = applied(
            "request",
            "web.example.com",
            "192.0.2.1",
            "--issuer",
            "prod",
            "--key",
            "ecdsa-256",
            "--secret-name",
            "s",
        )

        (message,) = runtime.redis.lrange(contract.REQUESTS_QUEUE, 0, -1)
        (body,), _, _ = json.loads(base64.b64decode(json.loads(message)["body"]))
        assert (code, err) == (0, "")
        assert len(out) == 1
        assert out[0].startswith(
            "certificate.cert-manager.io/web.example.com requested; follow it with: certmill describe "
            "certificate"
        )
        assert body == {
            "name": "web.example.com",
            "namespace": "default",
            "spec": {
                "secretName": "s",
                "issuerRef": {"name": "prod"},
                "dnsNames": ["web.example.com"],
                "ipAddresses": ["192.0.2.1"],
                "privateKey": {"algorithm": "ECDSA", "size": 256},
            },
        }

    def test_a_lifetime_that_the_issuer_will_not_ask_for_is_reported(self, applied, runtime, tmp_path):
        ask = ("request", "web.example.com", "--issuer", "prod", "--duration", "48h")

        code, _, err = applied(*ask)
        assert code == 0
        assert err.startswith(
            "warning: spec.duration 48h has no effect, and the CA decides: Issuer/default/prod does not set "
            "enableDurationFeature"
        )
        (tmp_path / "web.yaml").write_text(
            CERTIFICATE.replace("  secretName:", "  duration: 48h\n  secretName:")
        )
        applied("apply", "-f", str(tmp_path / "web.yaml"))
        assert any(
            line.startswith("Warning:") and "spec.duration 48h" in line
            for line in applied("describe", "cert", "web")[1]
        )

        issuer = ISSUER.replace("    email:", "    enableDurationFeature: true\n    email:")
        (tmp_path / "issuer.yaml").write_text(issuer)
        applied("apply", "-f", str(tmp_path / "issuer.yaml"))
        assert applied(*ask)[2] == ""
        assert not any(line.startswith("Warning:") for line in applied("describe", "cert", "web")[1])

    def test_describe_says_when_too_many_certificates_have_the_same_names(self, applied, runtime, tmp_path):
        issuer = ISSUER.replace(
            "metadata:\n",
            'metadata:\n  annotations: {certmill.io/rate-limits: "new-certificates-per-exact-set=1/9000h"}\n',
            1,
        )
        (tmp_path / "issuer.yaml").write_text(issuer)
        (tmp_path / "web.yaml").write_text(CERTIFICATE)
        (tmp_path / "copy.yaml").write_text(CERTIFICATE.replace("name: web\n", "name: copy\n", 1))
        for name in ("issuer", "web", "copy"):
            assert applied("apply", "-f", str(tmp_path / f"{name}.yaml"))[0] == 0
        status = CertificateStatus(not_before=1.0, not_after=3.0, renewal_time=2.0)
        runtime.ports.home.write_certificate_status(CertificateId("default/web"), status)

        lines = applied("describe", "cert", "web")[1]

        assert any(line.startswith("Warning:") and "2 Certificates have exactly" in line for line in lines)

    def test_waiting_shows_the_steps_and_ends_with_what_was_issued(self, applied, runtime, home, pair):
        worker = Worker(runtime, pair)
        worker.start()

        code, out, err = applied(
            "request", "web.example.com", "--issuer", "prod", "--wait", "--timeout", "60"
        )

        worker.join(60)
        text = "\n".join(out)
        assert (code, err) == (0, "")
        assert [line.split()[3] for line in out if "default/web.example.com" in line and " s " in line][
            -1
        ] == "issued"
        assert "finalize" in text
        assert "Names:        web.example.com" in text
        assert "Issuer:       Issuer prod, signed by Test Root" in text
        assert "Valid:        2026-01-01 00:00:00 UTC to 2035-12-30 00:00:00 UTC (ends in 9y)" in text
        assert f"Stored in:    {home}/secrets/default/web.example.com" in text

    def test_a_run_that_fails_is_exit_1_with_its_reason(self, applied, runtime):
        worker = Worker(runtime, fails="the CA refuses web.example.com")
        worker.start()

        code, _, err = applied("request", "web.example.com", "--issuer", "prod", "--wait", "--timeout", "60")

        worker.join(60)
        assert code == 1
        assert err == "error: default/web.example.com: failed: the CA refuses web.example.com\n"

    def test_a_refused_request_is_exit_1_with_its_reason(self, certmill, runtime):
        worker = Worker(runtime)
        worker.start()

        code, _, err = certmill("request", "web.example.com", "--issuer", "nope", "--wait", "--timeout", "60")

        worker.join(60)
        assert code == 1
        assert err.startswith("error: default/web.example.com: rejected: spec.issuerRef: ")

    def test_a_time_out_is_exit_4_and_says_what_it_waits_for(self, applied):
        code, _, err = applied("request", "web.example.com", "--issuer", "prod", "--wait", "--timeout", "0.2")

        assert code == 4
        assert err == "error: default/web.example.com is not issued after 0.2 s, and may still be: queued\n"

    def test_a_name_that_is_none_is_refused_before_anything_is_sent(self, applied, runtime):
        code, _, err = applied("request", "no name", "--issuer", "prod")

        assert code == 1
        assert "spec.dnsNames" in err
        assert runtime.redis.llen(contract.REQUESTS_QUEUE) == 0

    def test_a_renewal_is_asked_for(self, applied, runtime):
        worker = Worker(runtime)
        assert applied("renew", "web")[1][0].startswith("certificate.cert-manager.io/web renewal requested")

        assert runtime.redis.llen(contract.REQUESTS_QUEUE) == 1
        assert applied("renew", "--all")[0] == 0
        assert runtime.redis.llen(contract.REQUESTS_QUEUE) == 2
        assert worker.body is None

    def test_many_renewals_are_planned_over_a_time_and_a_selector_chooses(self, applied, runtime, tmp_path):
        many = tmp_path / "many.yaml"
        many.write_text(
            "---\n".join(
                CERTIFICATE.replace("name: web\n", f"name: c{n}\n  labels: {{half: '{n % 2}'}}\n", 1)
                for n in range(50)
            )
        )
        assert applied("apply", "-f", str(many))[0] == 0

        code, out, _ = applied("renew", "-l", "half=1")
        assert (code, out[0].split(" at ")[0]) == (
            0,
            "25 renewals are planned: the first now, the last",
        )
        assert runtime.ports.planned_renewals.count() == 25
        code, out, _ = applied("renew", "--all", "--over", "10m")
        assert out[0].startswith("51 renewals are planned")
        assert runtime.ports.planned_renewals.count() == 51
        assert runtime.redis.llen(contract.REQUESTS_QUEUE) == 0
        assert applied("renew", "--all", "--wait")[0] == 2
        assert applied("renew", "--all", "--over", "soon")[0] == 2
        assert applied("renew", "-l", "half=2", "-A") == (
            0,
            [],
            "note: there is no such Certificate in any namespace\n",
        )

    def test_a_certificate_that_is_not_there_cannot_be_renewed(self, applied, runtime):
        assert applied("renew", "web", "nope") == (
            3,
            [],
            'error: certificate "nope" not found in namespace "default"\n',
        )
        assert runtime.redis.llen(contract.REQUESTS_QUEUE) == 0

    def test_without_redis_nothing_can_be_asked(self, applied):
        code, out, err = applied("--redis-url", "redis://127.0.0.1:1/0", "renew", "web")

        assert (code, out) == (5, [])
        assert err.startswith("error: Redis does not answer at 127.0.0.1:1 (connection refused)")


class TestCommand:
    def test_usage_errors_are_exit_2(self, certmill):
        assert certmill("get", "pods")[0] == 2
        assert certmill("renew")[0] == 2
        assert certmill("get", "cert", "web", "-A")[0] == 2
        assert certmill("apply")[0] == 2

    def test_a_wrong_setting_is_named_and_is_exit_2(self, certmill, monkeypatch):
        monkeypatch.setenv("CERTMILL_HTTP01_PORT", "eighty")

        code, _, err = certmill("get", "certs")

        assert code == 2
        assert err.startswith("error: CERTMILL_HTTP01_PORT: ")

    def test_a_url_that_is_none_is_no_traceback(self, certmill):
        code, _, err = certmill("--redis-url", "nonsense://x", "get", "requests")

        assert code in (2, 5)
        assert err.startswith("error: ")
        assert len(err.splitlines()) == 1

    def test_a_home_that_cannot_be_written_is_exit_5(self, certmill, tmp_path):
        (tmp_path / "file").write_text("")

        code, _, err = certmill("--home", str(tmp_path / "file" / "home"), "get", "certs")

        assert code == 5
        assert err.startswith("error: cannot ")

    def test_a_variable_that_is_no_setting_is_said_and_the_command_goes_on(self, certmill, monkeypatch):
        monkeypatch.setenv("CERTMILL_HOM", "/nowhere")

        code, _, err = certmill("get", "certs")

        assert code == 0
        assert err.splitlines()[0] == "warning: CERTMILL_HOM is not a setting; did you mean CERTMILL_HOME?"

    @pytest.mark.parametrize("arguments", [["get", "certs"], ["--help"], ["--version"]])
    def test_a_full_disk_at_standard_output_is_one_line_and_exit_1(self, applied, arguments):
        with Path("/dev/full").open("w") as full:
            done = outside(*arguments, stdout=full)

        assert (done.returncode, done.stderr) == (
            1,
            "error: cannot write to standard output: No space left on device\n",
        )

    def test_an_output_that_nobody_reads_any_more_ends_quietly_as_by_sigpipe(self, applied):
        read, write = os.pipe()
        os.close(read)
        done = outside("get", "certs", stdout=write)
        os.close(write)

        assert (done.returncode, done.stderr) == (141, "")

    @pytest.mark.parametrize(("closed", "code"), [("<&-", 1), (">&-", 0), ("2>&-", 0)])
    def test_a_stream_that_is_closed_is_no_traceback(self, applied, closed, code):
        arguments = "apply -f -" if closed == "<&-" else "get certs"
        done = subprocess.run(
            ["sh", "-c", f"exec {COMMAND} {arguments} {closed}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert done.returncode == code
        assert done.stderr == (
            "error: standard input: is closed: give a file, or write the manifests to it\n"
            if closed == "<&-"
            else ""
        )

    def test_the_exit_codes_are_in_the_help(self, certmill):
        for arguments in (("--help",), ("get", "--help")):
            text = " ".join(" ".join(certmill(*arguments)[1]).split())
            assert (
                "3 the object does not exist; 4 not ready when --timeout ended, or at --check; 5 Redis or "
                "the home" in text
            )

    def test_help_and_version_import_nothing_heavy(self):
        script = (
            "import sys\nfrom certmill.cli import main\n"
            "try: main(['--version'])\nexcept SystemExit: pass\n"
            "print(sorted({'redis', 'cryptography', 'acme', 'pydantic', 'certmill.runtime'} & "
            "set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
        )

        assert done.stdout.splitlines() == ["certmill 0.1.0", "[]"]
