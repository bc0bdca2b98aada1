from __future__ import annotations

import json
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.errors import HomeUnavailable, InvalidManifest
from certmill.home.directory import documents
from certmill.home.directory.home import DirectoryHome
from certmill.home.secret_documents import survey_and_write
from certmill.model.names import CertificateId
from certmill.model.object_ref import ObjectRef
from tests.support.odd_entries import (
    ODD_ENTRIES,
    forbidden,
    make_odd_entries,
    make_socket,
    no_file_descriptors,
)
from tests.unit.home.samples import certificate_text, pair, parsed, secret_text

WEB = CertificateId("default/web")
TOKEN = ObjectRef(kind="Secret", namespace="default", name="token")
ISSUER = """\
apiVersion: cert-manager.io/v1
kind: Issuer
metadata:
  name: prod
  namespace: default
spec:
  acme:
    server: https://ca.test/dir
    privateKeySecretRef:
      name: prod-account
    solvers:
    - dns01:
        cloudflare:
          apiTokenSecretRef:
            name: token
            key: token
"""


def apply(home, text):
    return home.apply(parsed(text), text)


def names(home):
    return [certificate.name for certificate in home.certificates()]


def test_apply_keeps_the_text_as_the_user_wrote_it_in_a_file_of_its_own(home, root):
    text = "# why\n" + certificate_text()

    apply(home, text)

    assert (root / "manifests" / "certificate.default.web.yaml").read_text() == text
    assert DirectoryHome(root, cluster_resource_namespace="x").certificate(WEB) == parsed(text)


def test_files_of_people_are_found_changed_and_forgotten(home, root, drop):
    drop("site.yml", certificate_text())
    assert home.certificate(WEB).dns_names == ("example.com",)

    drop("site.yml", certificate_text(dns_name="example.org"))
    assert home.certificate(WEB).dns_names == ("example.org",)

    (root / "manifests" / "site.yml").unlink()
    assert home.certificate(WEB) is None


def test_an_object_that_moves_to_another_file_is_found_there(home, root, drop):
    drop("a.yaml", certificate_text())
    home.certificate(WEB)

    (root / "manifests" / "a.yaml").rename(root / "manifests" / "b.yaml")

    assert home.certificate(WEB) is not None


def test_a_document_added_to_a_file_that_is_known_is_found(home, drop):
    drop("site.yaml", certificate_text("mail"))
    assert home.certificate(WEB) is None

    drop("site.yaml", certificate_text("mail") + "---\n" + certificate_text())

    assert home.certificate(WEB) is not None
    assert home.survey().problems == ()


def test_a_file_named_as_if_it_were_another_objects_is_read_all_the_same(home, drop):
    drop("certificate.example.com.yaml", certificate_text())

    assert home.certificate(WEB) is not None
    assert apply(home, certificate_text("com", namespace="example")) == "created"
    assert home.certificate(WEB) is not None
    assert home.certificate(CertificateId("example/com")) is not None


def test_json_is_read_and_stays_json(home, root, drop):
    certificate = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "web"},
        "spec": {"secretName": "web", "issuerRef": {"name": "prod"}, "dnsNames": ["example.com"]},
    }
    drop("site.json", json.dumps(certificate))
    assert home.certificate(WEB).dns_names == ("example.com",)

    assert apply(home, certificate_text(dns_name="example.org")) == "configured"

    assert json.loads((root / "manifests" / "site.json").read_text())["spec"]["dnsNames"] == ["example.org"]
    assert home.certificate(WEB).dns_names == ("example.org",)


def test_other_files_are_left_alone(home, drop):
    for name in ("README.md", ".hidden.yaml", "site.yaml~", "site.yaml.bak"):
        drop(name, "not: [yaml")

    assert home.survey().problems == ()


def test_an_object_in_a_file_with_others_is_changed_there_and_their_text_stays(home, root, drop):
    before = "# the sites\n" + certificate_text("mail") + "--- # the web\n"
    after = "---\n# the last\n" + certificate_text("zoo")
    drop("sites.yaml", before + certificate_text() + after)

    assert apply(home, certificate_text(dns_name="example.org")) == "configured"

    text = (root / "manifests" / "sites.yaml").read_text()
    assert (
        text == before.replace("--- # the web\n", "---\n") + certificate_text(dns_name="example.org") + after
    )
    assert names(home) == ["mail", "web", "zoo"]
    assert [file.name for file in (root / "manifests").iterdir()] == ["sites.yaml"]


def test_an_object_in_a_file_with_others_is_deleted_there(home, root, drop):
    drop(
        "sites.yaml",
        certificate_text("mail")
        + "---\n"
        + certificate_text()
        + "---\n# the last\n"
        + certificate_text("zoo"),
    )

    assert home.delete("Certificate", "default", "web") is True

    assert (root / "manifests" / "sites.yaml").read_text() == certificate_text(
        "mail"
    ) + "---\n# the last\n" + certificate_text("zoo")
    assert home.delete("Certificate", "default", "mail")
    assert home.delete("Certificate", "default", "zoo")
    assert [file.name for file in (root / "manifests").iterdir()] == []


@given(
    st.integers(1, 5),
    st.integers(0, 4),
    st.sampled_from(["", "---\n", "--- # first\n", "# first\n", "\n\n---\n"]),
    st.booleans(),
)
def test_of_any_file_only_the_document_in_question_changes(count, at, head, ends):
    at %= count
    texts = [certificate_text(f"site-{n}") + f"# {n}\n" for n in range(count)]
    text = head + "---\n".join(texts) + ("...\n" if ends else "")
    key = ("Certificate", "default", f"site-{at}")

    changed = documents.with_document(text, key, certificate_text(f"site-{at}", "example.org"), source="x")
    gone = documents.without(text, key, source="x")

    objects = documents.read(changed, source="x").objects
    assert len(objects) == count
    assert objects[key].value == parsed(certificate_text(f"site-{at}", "example.org"))
    left = documents.read(gone, source="x").objects
    assert set(left) == {("Certificate", "default", f"site-{n}") for n in range(count) if n != at}
    for n, each in enumerate(texts):
        if n != at:
            assert each in changed
            assert each in gone


def test_an_object_in_a_list_is_not_touched_but_pointed_at(home, drop):
    items = "".join(
        "- " + certificate_text(name).replace("\n", "\n  ").rstrip() + "\n" for name in ("web", "mail")
    )
    drop("list.yaml", "apiVersion: v1\nkind: List\nitems:\n" + items)
    assert names(home) == ["mail", "web"]

    with pytest.raises(InvalidManifest, match=r"manifests/list.yaml.*List here; change it in this file"):
        apply(home, certificate_text(dns_name="example.org"))


def test_a_link_is_read_and_not_written_through(home, root, drop, tmp_path):
    (tmp_path / "outside.yaml").write_text(certificate_text())
    (root / "manifests").mkdir(parents=True)
    (root / "manifests" / "site.yaml").symlink_to(tmp_path / "outside.yaml")

    assert home.certificate(WEB) is not None
    with pytest.raises(InvalidManifest, match=r"manifests/site.yaml: is a link"):
        apply(home, certificate_text(dns_name="example.org"))
    with pytest.raises(InvalidManifest, match="is a link"):
        home.delete("Certificate", "default", "web")
    assert (tmp_path / "outside.yaml").read_text() == certificate_text()


def test_of_two_files_with_one_object_the_first_by_name_counts(home, root, drop):
    drop("b.yaml", certificate_text(dns_name="b.example"))
    drop("a.yaml", certificate_text(dns_name="a.example"))

    survey = home.survey()

    assert home.certificate(WEB).dns_names == ("a.example",)
    assert [(p.source, p.message) for p in survey.problems] == [
        (
            "manifests/b.yaml",
            "Certificate default/web is in manifests/a.yaml too, which counts; remove one of them",
        )
    ]
    (root / "manifests" / "a.yaml").unlink()
    assert home.survey().problems == ()
    assert home.certificate(WEB).dns_names == ("b.example",)


def test_of_two_files_with_one_object_that_with_its_name_counts_in_every_process(home, other, drop):
    apply(home, certificate_text(dns_name="own.example"))
    drop("a.yaml", certificate_text(dns_name="a.example"))

    survey = home.survey()

    assert [(p.source, p.message) for p in survey.problems] == [
        (
            "manifests/a.yaml",
            (
                "Certificate default/web is in manifests/certificate.default.web.yaml too, which counts; "
                "remove one of them"
            ),
        )
    ]
    assert home.certificate(WEB) == other.certificate(WEB)
    assert home.certificate(WEB).dns_names == ("own.example",)
    assert survey.snapshots == other.survey().snapshots


def test_a_file_with_an_objects_name_counts_from_when_it_comes(home, other, drop):
    drop("a.yaml", certificate_text(dns_name="a.example"))
    home.survey()

    drop("certificate.default.web.yaml", certificate_text(dns_name="own.example"))

    assert home.certificate(WEB).dns_names == other.certificate(WEB).dns_names == ("own.example",)
    assert apply(home, certificate_text(dns_name="new.example")) == "configured"
    assert home.certificate(WEB).dns_names == other.certificate(WEB).dns_names == ("new.example",)


def test_a_file_with_an_objects_name_that_cannot_be_read_counts_too(home, other, root, drop):
    """Which file counts must not be a matter of who has read it while it was right."""
    drop("a.yaml", certificate_text(dns_name="a.example"))
    drop("certificate.default.web.yaml", certificate_text(dns_name="own.example"))
    home.certificate(WEB)

    (root / "manifests" / "certificate.default.web.yaml").write_bytes(b"\xff")

    for each in (home, other):
        with pytest.raises(InvalidManifest, match=r"certificate\.default\.web\.yaml: is not UTF-8"):
            each.certificate(WEB)


def test_which_of_two_files_of_people_counts_is_the_same_everywhere_in_seconds(home, other, clock, drop):
    drop("b.yaml", certificate_text(dns_name="b.example"))
    home.certificate(WEB)

    drop("a.yaml", certificate_text(dns_name="a.example"))
    clock.advance(5)

    assert home.certificate(WEB).dns_names == other.certificate(WEB).dns_names == ("a.example",)


def test_a_file_with_another_objects_name_counts_last_in_every_process(home, other, drop):
    drop("people.yaml", certificate_text(dns_name="people.example"))
    drop("certificate.default.another.yaml", certificate_text(dns_name="another.example"))

    home.survey()

    assert home.certificate(WEB).dns_names == other.certificate(WEB).dns_names == ("people.example",)


def test_the_files_of_people_are_not_all_reconciled_for_each_object(home, clock, drop, monkeypatch):
    for name in ("a", "b", "c", "d"):
        drop(f"{name}.yaml", certificate_text(name))
    home.certificate(CertificateId("default/d"))
    looks, stat = [], os.stat
    monkeypatch.setattr(
        os,
        "stat",
        lambda path, **options: looks.append(str(path).rpartition("/")[2]) or stat(path, **options),
    )

    home.certificate(CertificateId("default/d"))

    assert looks.count("d.yaml") == 1
    assert not {"a.yaml", "b.yaml", "c.yaml"} & set(looks)


def test_an_object_in_a_file_named_after_another_is_found_after_that_of_a_user(home, drop):
    drop("people.yaml", certificate_text("mail"))
    drop("certificate.default.another.yaml", certificate_text())

    assert home.certificate(CertificateId("default/mail")) is not None
    assert home.certificate(WEB) is not None


def test_deleting_takes_an_object_out_of_every_file(home, drop):
    drop("b.yaml", certificate_text())
    drop("a.yaml", certificate_text())

    home.delete("Certificate", "default", "web")

    assert home.certificate(WEB) is None


def test_one_object_twice_in_a_file_is_a_problem(home, drop):
    drop("a.yaml", certificate_text() + "---\n" + certificate_text(dns_name="example.org"))

    assert "is in this file already" in home.survey().problems[0].message
    assert home.certificate(WEB).dns_names == ("example.com",)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a: " + b"x" * 1_048_577, "larger than 1048576 bytes"), (b"\xff\xfe", "not UTF-8"), (b"a: [", "")],
    ids=["too-large", "not-utf-8", "no-yaml"],
)
def test_a_file_that_cannot_be_used_is_a_problem_and_everything_else_goes_on(
    home, root, drop, content, message
):
    drop("good.yaml", certificate_text())
    (root / "manifests" / "bad.yaml").write_bytes(content)

    survey = home.survey()

    assert [s.ref.name for s in survey.snapshots] == ["web"]
    assert len(survey.problems) == 1
    assert survey.problems[0].source.startswith("manifests/bad.yaml")
    assert message in survey.problems[0].message
    assert "\n" not in survey.problems[0].message
    assert home.certificate(CertificateId("default/other")) is None


def test_an_odd_entry_in_manifests_is_its_own_problem_and_stops_nothing_else(home, root, drop):
    drop("good.yaml", certificate_text())
    make_odd_entries(root / "manifests")

    survey = home.survey()
    done = apply(home, certificate_text("new"))

    assert [s.ref.name for s in survey.snapshots] == ["web"]
    assert {p.source: p.message for p in survey.problems} == ODD_ENTRIES
    assert (home.certificate(WEB), done, names(home)) == (
        parsed(certificate_text()),
        "created",
        ["new", "web"],
    )


def test_a_file_that_may_not_be_read_is_a_problem_and_counts_when_it_may(home, root, drop):
    drop("secret.yaml", certificate_text())
    with forbidden(root / "manifests" / "secret.yaml"):
        survey = home.survey()
        assert (survey.snapshots, [p.source for p in survey.problems]) == ((), ["manifests/secret.yaml"])
        assert (
            "permission denied; give the user that certmill runs as the right to read it"
            in survey.problems[0].message
        )

    assert [s.ref.name for s in home.survey().snapshots] == ["web"]


def test_a_name_that_is_no_utf_8_is_read_and_shown_with_escapes(home, root, drop):
    drop("good.yaml", certificate_text("mail"))
    (root / "manifests" / os.fsdecode(b"caf\xe9\n.yaml")).write_text(certificate_text() + "---\nkind: 7\n")

    survey = home.survey()

    assert [s.ref.name for s in survey.snapshots] == ["mail", "web"]
    assert [p.source for p in survey.problems] == [r"manifests/caf\xe9\n.yaml#2"]
    assert apply(home, certificate_text(dns_name="example.org")) == "configured"


@pytest.mark.parametrize("odd", ["directory", "pipe", "socket"])
def test_what_is_no_file_in_an_objects_place_is_named_and_left_as_it_is(home, root, odd):
    place = root / "manifests" / "certificate.default.web.yaml"
    place.parent.mkdir(parents=True)
    {"directory": place.mkdir, "pipe": lambda: os.mkfifo(place), "socket": lambda: make_socket(place)}[odd]()
    before = place.lstat()

    with pytest.raises(
        InvalidManifest,
        match=r"^manifests/certificate.default.web.yaml: cannot be changed: it is not a file.*remove it",
    ):
        apply(home, certificate_text())

    assert place.lstat() == before


def test_a_process_without_file_descriptors_blames_no_file(home, drop):
    drop("good.yaml", certificate_text())
    names(home)
    drop("good.yaml", certificate_text(dns_name="example.org"))

    with no_file_descriptors(), pytest.raises(HomeUnavailable, match="too many open files"):
        home.survey()

    assert home.certificate(WEB).dns_names == ("example.org",)


def test_an_object_whose_file_becomes_unusable_is_wrong_not_gone(home, root, drop):
    """None would mean that it was deleted."""
    drop("sites.yaml", certificate_text("mail") + "---\n" + certificate_text())
    assert home.certificate(WEB) is not None

    (root / "manifests" / "sites.yaml").write_bytes(b"\xff")

    with pytest.raises(InvalidManifest, match="not UTF-8"):
        home.certificate(WEB)


@pytest.mark.parametrize("spoilt", ["  dnsNames: 7\n", "  dnsNames: [\n", "\tx\n"])
def test_a_wrong_document_is_reported_by_name_by_a_process_that_never_read_it(home, drop, spoilt):
    head, _, _ = certificate_text().partition("  dnsNames")
    drop("sites.yaml", certificate_text("mail") + "---\n" + head + spoilt)

    with pytest.raises(InvalidManifest, match=r"manifests/sites\.yaml"):
        home.certificate(WEB)


def test_a_file_named_after_an_object_that_reports_nothing_is_wrong_not_gone(home, drop):
    drop("certificate.default.web.yaml", "{")

    with pytest.raises(InvalidManifest, match=r"manifests/certificate.default.web.yaml"):
        home.certificate(WEB)
    assert apply(home, certificate_text()) == "configured"
    assert home.certificate(WEB) is not None


def test_what_a_crash_left_beside_a_manifest_is_ignored_and_overwritten(home, root, drop):
    drop(".certificate.default.web.yaml.tmp", "half a docu")

    assert home.survey().problems == ()
    apply(home, certificate_text())
    assert [file.name for file in (root / "manifests").iterdir()] == ["certificate.default.web.yaml"]


class TestSecretDocuments:
    def test_a_survey_finds_it_and_writes_nothing(self, home, root, drop):
        drop("token.yaml", secret_text())

        for _ in range(2):
            assert home.survey().unwritten == (TOKEN,)
        assert not (root / "secrets").exists()

        survey = survey_and_write(home)

        assert home.secret("default", "token").data == {"token": b"hunter2"}
        assert (survey.snapshots, survey.problems, survey.unwritten) == ((), (), ())

    def test_an_issuer_has_its_new_signature_in_the_survey_that_wrote_its_secret(self, home, drop):
        drop("issuer.yaml", ISSUER)
        before = home.survey().snapshots
        drop("token.yaml", secret_text())

        survey = survey_and_write(home)

        assert survey.snapshots != before
        assert survey.snapshots == home.survey().snapshots

    def test_it_is_made_again_when_it_is_changed_or_was_deleted(self, home, root, drop):
        drop("token.yaml", secret_text())
        survey_and_write(home)

        drop("token.yaml", secret_text("changed"))
        survey_and_write(home)
        assert home.secret("default", "token").data == {"token": b"changed"}

        (root / "secrets" / "default" / "token").rename(root / "elsewhere")
        survey_and_write(home)
        assert home.secret("default", "token").data == {"token": b"changed"}

    def test_what_certmill_renews_in_it_stays(self, home, root, drop):
        """An imported pair: the document holds the first one, the Secret the present one."""
        drop("web.yaml", secret_text("old", "web"))
        survey_and_write(home)
        home.write_secret(pair(1, data={"token": b"renewed"}))

        survey_and_write(home)
        survey_and_write(DirectoryHome(root, cluster_resource_namespace="x"))

        assert home.secret("default", "web").data == {"token": b"renewed"}

    def test_applying_it_changes_the_document_too(self, home, drop):
        drop("token.yaml", secret_text())
        survey_and_write(home)

        assert apply(home, "# mine\n" + secret_text("applied")) == "configured"
        home.write_secret(pair(1, name="token", data={"token": b"renewed"}))
        survey_and_write(home)

        assert home.secret("default", "token").data == {"token": b"renewed"}

    def test_applying_one_without_a_document_keeps_it_out_of_manifests(self, home, root):
        apply(home, secret_text())

        assert not (root / "manifests").exists()

    def test_deleting_it_takes_the_document_along(self, home, drop):
        drop("token.yaml", secret_text())
        survey_and_write(home)

        assert home.delete("Secret", "default", "token") is True
        survey_and_write(home)

        assert home.secret("default", "token") is None

    def test_a_secret_that_cannot_be_made_is_a_problem(self, home, root, drop):
        drop("token.yaml", secret_text())
        drop("web.yaml", certificate_text())
        (root / "secrets" / "default").mkdir(parents=True)
        (root / "secrets" / "default" / "token").write_text("a file in its place")

        survey = survey_and_write(home)

        assert [s.ref.name for s in survey.snapshots] == ["web"]
        assert survey.problems[0].source == "secrets/default/token"


def test_a_certificate_that_was_just_written_is_not_parsed_again(home, other):
    wanted = parsed(certificate_text())

    home.request(wanted)

    found = home.certificate(wanted.id)
    assert found.dns_names is wanted.dns_names
    assert other.certificate(wanted.id) == found


def test_a_change_after_our_own_write_is_read(home, other, root):
    home.request(parsed(certificate_text()))

    other.apply(
        parsed(certificate_text(dns_name="other.example.com")), certificate_text(dns_name="other.example.com")
    )

    assert home.certificate("default/web").dns_names == ("other.example.com",)


def replace_as_an_editor(file, text):
    file.with_suffix(".swp").write_text(text)
    file.with_suffix(".swp").rename(file)


@pytest.mark.parametrize(
    "save",
    [replace_as_an_editor, lambda file, text: file.write_text(text)],
    ids=["replaced", "edited in place"],
)
def test_an_edit_while_our_write_is_flushed_is_read(home, root, monkeypatch, save):
    own = root / "manifests" / "certificate.default.web.yaml"
    fsync = os.fsync

    def fsync_during_an_edit(descriptor):
        fsync(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) and own.exists():
            save(own, certificate_text(dns_name="edited.example.com"))

    monkeypatch.setattr(os, "fsync", fsync_during_an_edit)

    home.request(parsed(certificate_text()))

    assert home.certificate("default/web").dns_names == ("edited.example.com",)


def test_a_file_that_is_removed_while_our_write_is_flushed_is_gone(home, root, monkeypatch):
    own = root / "manifests" / "certificate.default.web.yaml"
    fsync = os.fsync

    def fsync_during_a_removal(descriptor):
        fsync(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            own.unlink(missing_ok=True)

    monkeypatch.setattr(os, "fsync", fsync_during_a_removal)

    home.request(parsed(certificate_text()))

    assert home.certificate("default/web") is None
