"""What many objects cost: operations are counted, not seconds, and twice as many objects may need no more
than twice as many."""

from __future__ import annotations

import pytest

from certmill.errors import InvalidManifest
from certmill.home.directory.home import DirectoryHome
from certmill.home.secret_documents import survey_and_write
from certmill.testing.clock import FakeClock
from tests.support.counting import counting, linear
from tests.unit.home.samples import certificate_text, parsed, secret_text


def text_of(number, dns_name="example.com"):
    return certificate_text(f"site-{number}", dns_name)


def home_with_one_file_of_many(root, documents):
    (root / "manifests").mkdir(parents=True)
    (root / "manifests" / "sites.yaml").write_text("---\n".join(documents))
    return DirectoryHome(root, cluster_resource_namespace="x", clock=FakeClock())


def applied(home, texts):
    return [*home.apply_all([(parsed(text), text) for text in texts])]


@pytest.mark.parametrize("where", ["one file", "a file each", "new"])
def test_applying_many_documents_costs_in_proportion_to_their_number(tmp_path, monkeypatch, where):
    costs = []
    for number in (20, 40):
        root, many = tmp_path / str(number), range(number)
        if where == "one file":
            home = home_with_one_file_of_many(root, [text_of(n) for n in many])
        else:
            home = DirectoryHome(root, cluster_resource_namespace="x", clock=FakeClock())
            applied(home, [text_of(n) for n in many if where != "new"])
        with counting(monkeypatch) as counts:
            changes = applied(home, [text_of(n, "example.org") for n in many])
        assert set(changes) == {"created" if where == "new" else "configured"}
        assert {certificate.dns_names for certificate in home.certificates()} == {("example.org",)}
        costs.append(counts)

    assert linear(*costs), costs
    assert costs[1]["yaml.parse"] <= 40 * 5


def test_a_file_is_written_once_for_all_its_documents(tmp_path, monkeypatch):
    home = home_with_one_file_of_many(
        tmp_path, [text_of(n) for n in range(30)] + ["# the last\n" + text_of("last")]
    )
    before = (tmp_path / "manifests" / "sites.yaml").read_text()

    with counting(monkeypatch) as counts:
        changes = applied(home, [text_of(n, "example.org") for n in range(30)])

    assert changes == ["configured"] * 30
    assert counts["os.rename"] + counts["os.replace"] == 1
    assert (tmp_path / "manifests" / "sites.yaml").read_text() == before.replace(
        "example.com", "example.org", 30
    )


def test_each_of_many_documents_has_its_own_answer_in_their_order(tmp_path):
    items = "".join("- " + text_of(n).replace("\n", "\n  ").rstrip() + "\n" for n in ("a", "b"))
    home = home_with_one_file_of_many(
        tmp_path, [text_of(1), text_of(2), f"apiVersion: v1\nkind: List\nitems:\n{items}", secret_text()]
    )
    survey_and_write(home)
    wanted = [
        text_of(1, "example.org"),
        text_of(9),
        text_of("a", "example.org"),
        text_of(2),
        secret_text("new"),
        text_of(1),
        text_of(9),
    ]

    first, second, third, *rest = applied(home, wanted)

    assert (first, second) == ("configured", "created")
    assert isinstance(third, InvalidManifest)
    assert "is one of a List here" in str(third)
    assert rest == ["unchanged", "configured", "configured", "unchanged"]
    again = DirectoryHome(tmp_path, cluster_resource_namespace="x")
    assert {certificate.name for certificate in again.certificates()} == {
        "site-1",
        "site-2",
        "site-9",
        "site-a",
        "site-b",
    }
    assert {certificate.dns_names for certificate in again.certificates()} == {("example.com",)}
    assert again.secret("default", "token").data == {"token": b"new"}


def test_which_issuers_there_are_costs_the_same_beside_any_number_of_certificates(tmp_path, monkeypatch):
    """Each adoption of a pair without annotations asks: its Secret may be one that an issuer needs."""
    issuer = (
        "apiVersion: cert-manager.io/v1\nkind: Issuer\nmetadata:\n  name: prod\n  namespace: "
        "default\nspec:\n  acme:\n"
        "    server: https://ca.example/dir\n    privateKeySecretRef:\n      name: account\n    solvers:\n"
        "    - http01:\n        ingress: {}\n"
    )
    costs = []
    for number in (20, 40):
        home = DirectoryHome(tmp_path / str(number), cluster_resource_namespace="x", clock=FakeClock())
        applied(home, [issuer, *(text_of(n) for n in range(number))])
        home.survey()
        with counting(monkeypatch) as counts:
            found = [issuer.name for _ in range(number) for issuer in home.issuers("default")]
        assert found == ["prod"] * number
        costs.append(counts)

    assert linear(*costs), costs
    assert costs[1]["os.stat"] <= 40 * 3
