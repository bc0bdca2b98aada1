"""What the commands say of the home that they work on: a directory has places, a cluster has none."""

from __future__ import annotations

import os

import pytest

from certmill.cli.commands.describe import describe
from certmill.cli.commands.get import get
from certmill.cli.kinds import Kind
from certmill.cli.session import Options, Session
from certmill.errors import Forbidden
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.model.secret import Secret
from certmill.testing.clock import FakeClock
from certmill.testing.home import MemoryHome
from tests.support.builders import a_certificate


@pytest.fixture
def session(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("CERTMILL_") or name == "REDIS_URL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CERTMILL_HOME", str(tmp_path / "home"))
    session = Session(Options())
    session.home, session.clock = MemoryHome(), FakeClock()
    return session


@pytest.fixture
def in_cluster(session, monkeypatch):
    monkeypatch.setenv("CERTMILL_HOME_KIND", "kubernetes")
    return session


def test_a_secret_of_a_directory_is_reported_with_its_place(session, capsys, tmp_path):
    session.home.write_secret(Secret(namespace="default", name="tsig", data={"secret": b"x"}))

    describe(session, Kind.SECRET, "tsig", namespace="default")

    assert (
        f"Stored at:  {tmp_path / 'home' / 'secrets' / 'default' / 'tsig'}"
        in capsys.readouterr().out.splitlines()
    )


def test_a_secret_of_a_cluster_is_reported_without_a_place_on_this_machine(in_cluster, capsys, tmp_path):
    in_cluster.home.write_secret(Secret(namespace="default", name="tsig", data={"secret": b"x"}))

    describe(in_cluster, Kind.SECRET, "tsig", namespace="default")

    told = capsys.readouterr().out
    assert "Stored at" not in told
    assert str(tmp_path) not in told


def test_nobody_is_asked_to_re_read_a_home_that_a_controller_watches(in_cluster, capsys):
    in_cluster.home.watched = True

    in_cluster.request_reread()  # the session has no Redis

    assert capsys.readouterr().err == ""


def test_an_empty_directory_is_doubted_by_its_path(session, capsys, tmp_path):
    get(session, Kind.CERTIFICATE, (), namespace="default", output="")

    assert f"the home {tmp_path}/home has no manifest; check CERTMILL_HOME" in capsys.readouterr().err


def test_an_empty_cluster_is_doubted_by_its_kubeconfig(in_cluster, capsys, tmp_path):
    get(in_cluster, Kind.CERTIFICATE, (), namespace="default", output="")

    told = capsys.readouterr().err
    assert "the cluster has no manifest; check CERTMILL_KUBECONFIG" in told
    assert str(tmp_path) not in told


class OneNamespace(MemoryHome):
    """A home in which the user may list the Certificates of one namespace only."""

    def certificates(self, namespace=None):
        if namespace is None:
            raise Forbidden("certificates is forbidden at the cluster scope")
        return super().certificates(namespace)


def test_who_may_read_one_namespace_gets_the_certificates_of_that_one(session):
    session.home = OneNamespace()
    for namespace in ("default", "other"):
        certificate = a_certificate(namespace=namespace)
        session.home.apply(certificate, dump_yaml(certificate_document(certificate)))

    assert [certificate.id for certificate in session.certificates("default")] == ["default/web"]
