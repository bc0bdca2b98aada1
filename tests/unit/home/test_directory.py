from __future__ import annotations

import os
import resource
import subprocess
from contextlib import contextmanager

import pytest

from certmill.errors import HomeUnavailable
from certmill.home.directory.home import DirectoryHome
from certmill.model.names import CertificateId
from certmill.model.status import CertificateStatus
from tests.unit.home.samples import certificate_text, pair, parsed

WEB = CertificateId("default/web")
WRITES = {
    "write_secret": lambda home: home.write_secret(pair(2)),
    "create_secret": lambda home: home.create_secret(pair(1, name="new")),
    "apply": lambda home: home.apply(parsed(certificate_text("new")), certificate_text("new")),
    "write_certificate_status": lambda home: home.write_certificate_status(
        WEB, CertificateStatus(revision=2, failed_spec="x" * 5000)
    ),
}
REMOVALS = {
    "delete": lambda home: home.delete("Certificate", "default", "web"),
    "delete_secret": lambda home: home.delete_secret("default", "web"),
}


@contextmanager
def mounted(directory, size="64k"):
    """A file system of its own, where we may mount one."""
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small file system")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def filled(root):
    home = DirectoryHome(root, cluster_resource_namespace="cert-manager")
    home.apply(parsed(certificate_text()), certificate_text())
    home.write_secret(pair(1))
    home.write_certificate_status(WEB, CertificateStatus(revision=1))
    return home


def assert_all_is_as_it_was(home):
    assert home.secret("default", "web") == pair(1)
    assert home.certificate(WEB) is not None
    assert home.certificate_status(WEB) == CertificateStatus(revision=1)
    assert [s.ref.name for s in home.survey().snapshots] == ["web"]


@pytest.mark.parametrize("write", WRITES)
def test_a_full_disk_is_named_and_everything_stays_as_it_was(tmp_path, write):
    with mounted(tmp_path / "home", "96k") as root:
        home = filled(root)
        with pytest.raises(OSError, match="No space"):
            (root / "ballast").write_bytes(bytes(200_000))

        with pytest.raises(HomeUnavailable, match="the disk is full: free space") as caught:
            WRITES[write](home)

        assert str(tmp_path) not in str(caught.value)
        assert_all_is_as_it_was(home)
        (root / "ballast").unlink()
        WRITES[write](home)


@pytest.mark.parametrize("write", WRITES)
def test_a_file_size_limit_is_named_and_leaves_no_half_file(tmp_path, write):
    home = filled(tmp_path / "home")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        with pytest.raises(HomeUnavailable, match="raise the file size limit"):
            WRITES[write](home)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert_all_is_as_it_was(home)
    assert not list((tmp_path / "home").rglob("*.tmp"))
    WRITES[write](home)


@pytest.mark.parametrize("write", [*WRITES, *REMOVALS])
def test_a_read_only_home_can_be_read_and_says_so_when_it_is_written(tmp_path, write):
    with mounted(tmp_path / "home") as root:
        home = filled(root)
        subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)

        with pytest.raises(HomeUnavailable, match="the file system is read-only: mount it writable"):
            {**WRITES, **REMOVALS}[write](home)

        assert_all_is_as_it_was(home)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_of_another_user_says_so(tmp_path):
    home = filled(tmp_path / "home")
    (tmp_path / "home" / "secrets" / "default" / "web").chmod(0o500)

    with pytest.raises(HomeUnavailable, match="permission denied"):
        home.write_secret(pair(2))


def test_a_damaged_status_is_as_none(tmp_path):
    home = filled(tmp_path / "home")
    file = tmp_path / "home" / "status" / "certificate.default.web.json"

    for content in ("", "{", "[]", '{"conditions": 7, "revision": "x", "not_after": true}', "[" * 100_000):
        file.write_text(content)
        assert home.certificate_status(WEB) == CertificateStatus()


def test_a_status_that_says_the_same_is_not_written(tmp_path):
    home = filled(tmp_path / "home")
    file = tmp_path / "home" / "status" / "certificate.default.web.json"
    before = file.stat().st_ino

    home.write_certificate_status(WEB, CertificateStatus(revision=1))

    assert file.stat().st_ino == before


def test_a_survey_sees_what_other_processes_and_people_did(tmp_path):
    home, other = (
        filled(tmp_path / "home"),
        DirectoryHome(tmp_path / "home", cluster_resource_namespace="cert-manager"),
    )
    before = home.survey().snapshots

    other.write_secret(pair(2))
    second = home.survey().snapshots
    key = tmp_path / "home" / "secrets" / "default" / "web" / "tls.key"
    key.unlink()
    key.write_bytes(b"by hand")
    third = home.survey().snapshots

    assert len({before, second, third}) == 3
    assert other.survey().snapshots == third


def test_an_issuers_signature_changes_with_its_credentials(tmp_path):
    """What failed for a wrong token goes on when the token is repaired."""
    issuer = (
        "apiVersion: cert-manager.io/v1\nkind: Issuer\nmetadata:\n  name: prod\nspec:\n  acme:\n    server: "
        "https://ca.example/dir\n"
        "    privateKeySecretRef:\n      name: account\n    solvers:\n    - dns01:\n        cloudflare:\n"
        "          apiTokenSecretRef:\n            name: cloudflare\n            key: token\n"
    )
    home = DirectoryHome(tmp_path / "home", cluster_resource_namespace="cert-manager")
    home.apply(parsed(issuer), issuer)
    seen = [home.survey().snapshots]

    home.apply(pair(1, name="cloudflare", data={"token": b"wrong"}), "1")
    seen.append(home.survey().snapshots)
    home.apply(pair(1, name="cloudflare", data={"token": b"right"}), "2")
    seen.append(home.survey().snapshots)
    home.write_secret(pair(1, name="account"))
    seen.append(home.survey().snapshots)

    assert len({seen[0], seen[1], seen[2]}) == 3
    assert seen[3] == seen[2]
