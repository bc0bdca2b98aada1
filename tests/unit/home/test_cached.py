"""A home whose reads may be a moment old."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.errors import Conflict, InvalidManifest
from certmill.home.base import ObservedCertificate
from certmill.home.cached import CERTIFICATE_SECONDS, RECENT_SECONDS, CachedHome
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.model.object_ref import ObjectRef
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, IssuerStatus
from certmill.testing.clock import FakeClock
from certmill.testing.home import MemoryHome
from tests.support.builders import a_certificate, an_issuer

WEB = a_certificate()
PROD = ObjectRef(kind="ClusterIssuer", namespace="", name="prod")
SECRET = Secret(namespace="default", name="web-tls", data={"tls.key": b"1"})


class Counting(MemoryHome):
    """Counts reads; `during` happens in the middle of each."""

    def __init__(self):
        super().__init__()
        self.reads = []
        self.during = lambda: None

    def _read(self, what, answer):
        self.reads.append(what)
        self.during()
        return answer

    def certificate(self, certificate):
        return self._read("certificate", super().certificate(certificate))

    def observe(self, certificate):
        found = MemoryHome.certificate(self, certificate)
        status = MemoryHome.certificate_status(self, certificate)
        return self._read(
            "certificate", ObservedCertificate(certificate=found, status=status) if found else None
        )

    def issuer(self, ref):
        return self._read("issuer", super().issuer(ref))

    def secret(self, namespace, name):
        return self._read("secret", super().secret(namespace, name))

    def certificate_status(self, certificate):
        return self._read("certificate status", MemoryHome.certificate_status(self, certificate))

    def issuer_status(self, issuer):
        return self._read("issuer status", super().issuer_status(issuer))


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def below():
    home = Counting()
    home.apply(an_issuer(), "")
    home.apply(WEB, dump_yaml(certificate_document(WEB)))
    home.write_secret(SECRET)
    return home


@pytest.fixture
def home(below, clock):
    return CachedHome(below, clock)


READS = {
    "certificate": lambda home: home.certificate(WEB.id),
    "issuer": lambda home: home.issuer(PROD),
    "secret": lambda home: home.secret("default", "web-tls"),
    "issuer status": lambda home: home.issuer_status(an_issuer()),
}


@pytest.mark.parametrize("what", READS)
def test_what_was_read_a_moment_ago_is_not_read_again_until_it_is_old(home, below, clock, what):
    first = READS[what](home)

    assert READS[what](home) == first
    clock.advance((CERTIFICATE_SECONDS if what == "certificate" else RECENT_SECONDS) - 0.1)
    READS[what](home)
    assert below.reads == [what]
    clock.advance(0.1)
    READS[what](home)
    assert below.reads == [what, what]


def test_a_clock_that_is_set_back_makes_nothing_last_for_ever(home, below, clock):
    home.secret("default", "web-tls")

    clock.advance(-3600)
    home.secret("default", "web-tls")

    assert below.reads == ["secret", "secret"]


def test_what_is_not_there_may_come_the_next_moment(home, below):
    assert home.secret("default", "other") is None

    below.write_secret(Secret(namespace="default", name="other", data={"a": b"b"}))

    assert home.secret("default", "other").data == {"a": b"b"}


def test_what_is_wrong_is_reported_each_time(home, below):
    below.break_manifest("Certificate", "default", "web", "is wrong")

    for _ in range(2):
        with pytest.raises(InvalidManifest):
            home.certificate(WEB.id)


def test_a_status_is_cached_as_it_was_read_or_written(home, below):
    home.certificate(WEB.id)

    home.write_certificate_status(WEB.id, replace(home.certificate_status(WEB.id), revision=7))
    home.write_certificate_status(WEB.id, replace(home.certificate_status(WEB.id), revision=8))

    assert home.certificate_status(WEB.id).revision == 8
    assert below.reads.count("certificate") == 1
    assert below.certificate_status(WEB.id).revision == 8


def test_a_status_that_another_process_wrote_meanwhile_is_a_conflict_and_then_read(home, below):
    outdated = home.certificate_status(WEB.id)
    below.write_certificate_status(WEB.id, CertificateStatus(revision=7))

    with pytest.raises(Conflict):
        home.write_certificate_status(WEB.id, replace(outdated, revision=1))

    assert home.certificate_status(WEB.id).revision == 7


def test_a_read_without_the_cache_reads_again_and_the_cache_has_what_it_found(home, below, clock):
    home.certificate(WEB.id)
    home.secret("default", "web-tls")
    changed = a_certificate(dns_names=("new.example.test",))
    below.apply(changed, dump_yaml(certificate_document(changed)))
    below.write_secret(Secret(namespace="default", name="web-tls", data={"tls.key": b"2"}))

    assert home.uncached().certificate(WEB.id).dns_names == ("new.example.test",)
    assert home.uncached().secret("default", "web-tls").data == {"tls.key": b"2"}

    below.reads.clear()
    assert home.certificate(WEB.id).dns_names == ("new.example.test",)
    assert home.secret("default", "web-tls").data == {"tls.key": b"2"}
    assert below.reads == []


def test_what_is_written_is_read_back_at_once(home):
    for read in READS.values():
        read(home)

    home.write_secret(Secret(namespace="default", name="web-tls", data={"tls.key": b"2"}))
    home.write_issuer_status(an_issuer(), IssuerStatus(uri="https://ca.test/1"))
    changed = a_certificate(dns_names=("new.example.test",))
    home.apply(changed, dump_yaml(certificate_document(changed)))

    assert home.secret("default", "web-tls").data == {"tls.key": b"2"}
    assert home.issuer_status(an_issuer()).uri == "https://ca.test/1"
    assert home.certificate(WEB.id).dns_names == ("new.example.test",)


def test_what_is_deleted_is_gone_at_once(home):
    home.secret("default", "web-tls")
    home.certificate(WEB.id)

    assert home.delete_secret("default", "web-tls") is True
    assert home.delete("Certificate", "default", "web") is True

    assert home.secret("default", "web-tls") is None
    assert home.certificate(WEB.id) is None


def test_a_secret_that_is_written_while_it_is_read_is_not_cached_as_it_was(home, below):
    def meanwhile():
        below.during = lambda: None
        home.write_secret(Secret(namespace="default", name="web-tls", data={"tls.key": b"2"}))

    below.during = meanwhile
    home.secret("default", "web-tls")

    assert home.secret("default", "web-tls").data == {"tls.key": b"2"}


def test_everything_else_is_the_home_below(home, below):
    assert home.watched is below.watched
    assert [c.id for c in home.certificates()] == [WEB.id]
    assert [i.name for i in home.issuers()] == ["prod"]
    assert [s.name for s in home.secrets()] == ["web-tls"]
    assert len(home.survey().snapshots) == 2
    assert home.secrets_namespace(an_issuer()) == "cert-manager"
    assert home.create_secret(SECRET) is False
    assert home.created(ObjectRef.of("Certificate", "default", "web")) is None
    home.refuse(ObjectRef.of("Certificate", "default", "web"), reason="InvalidSpec", message="is wrong")
    home.write_certificate_status(WEB.id, CertificateStatus(revision=1))
