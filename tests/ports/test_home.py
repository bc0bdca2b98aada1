"""What every home promises (certmill/home/base.py), over the directory home, the one in a cluster and the one
in memory."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from certmill.certificates.secret_contract import secret_of
from certmill.clock import SystemClock
from certmill.crypto import chain, keys
from certmill.errors import Conflict, HomeUnavailable, InvalidManifest
from certmill.home.directory.home import DirectoryHome
from certmill.home.kubernetes.home import KubernetesHome
from certmill.kube.client import KubeClient
from certmill.kube.connection import connect
from certmill.kube.resources import CERTIFICATES
from certmill.model.ari import AriStatus
from certmill.model.certificate import OutputFormat, PrivateKeySpec
from certmill.model.manifests.parse import certificate_document, dump_yaml, parse_documents
from certmill.model.names import CertificateId
from certmill.model.object_ref import ObjectRef
from certmill.model.secret import OPAQUE_TYPE, TLS_TYPE, Secret
from certmill.model.status import CertificateStatus, Condition, IssuerStatus
from certmill.renewal.decision import Keep, decide
from certmill.renewal.observation import observe
from certmill.steps.orders import notes
from certmill.testing.home import MemoryHome
from compose.servers.ports import free_port
from tests.support.builders import DAY, NOW, a_certificate, a_chain
from tests.support.cluster import client_of, make_empty, make_namespace

WEB = CertificateId("default/web")
PAIR = Secret(
    namespace="default", name="web", type=TLS_TYPE, data={"tls.crt": b"chain 1", "tls.key": b"key 1"}
)
READY = Condition(
    type="Ready",
    status=True,
    reason="Ready",
    message="Certificate is up to date",
    last_transition=1_800_000_000.0,
)
STATUS = CertificateStatus(
    conditions=(READY,),
    not_before=1.0,
    not_after=9.0,
    renewal_time=7.0,
    revision=3,
    last_issuance_time=2.0,
    last_failure_time=3.0,
    failed_issuance_attempts=2,
    next_attempt=4.0,
    failed_spec="abc",
    failed_run="3@1800000000.000",
    ari=AriStatus(
        cert_id="aki.serial",
        start=5.0,
        end=6.0,
        explanation_url="https://ca.example/why",
        last_checked=7.0,
        next_check=8.0,
        last_error="503",
        at_once=True,
    ),
)


def certificate_text(name="web", namespace="default", dns_name="example.com", secret=None):
    return f"""\
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {name}
  namespace: {namespace}
spec:
  secretName: {secret or name}
  issuerRef:
    name: prod
    kind: ClusterIssuer
  dnsNames:
  - {dns_name}
"""


def issuer_text(name="prod", kind="ClusterIssuer", namespace="default", server="https://ca.example/dir"):
    return f"""\
apiVersion: cert-manager.io/v1
kind: {kind}
metadata:
  name: {name}{"" if kind == "ClusterIssuer" else chr(10) + "  namespace: " + namespace}
spec:
  acme:
    server: {server}
    privateKeySecretRef:
      name: {name}-account
    solvers:
    - http01:
        ingress: {{}}
"""


ISSUER_STATUS = IssuerStatus(
    conditions=(READY,),
    uri="https://ca.example/account/1",
    last_registered_email="a@b.example",
    last_private_key_hash="h",
    server="https://ca.example/dir",
)


def secret_text(name="token", namespace="default", value="hunter2"):
    return f"""\
apiVersion: v1
kind: Secret
metadata:
  name: {name}
  namespace: {namespace}
stringData:
  token: {value}
"""


def parsed(text):
    documents, problems = parse_documents(text, source="test")
    assert not problems, problems
    return documents[0].value


def apply(home, text):
    return home.apply(parsed(text), text)


class DirectoryPlace:
    """A home, and what befalls it: `spoil` makes a Certificate one that is there and wrong, as a person does;
    `leave` takes it away."""

    def __init__(self, directory):
        self._directory = directory / "home"
        self.home = DirectoryHome(self._directory, cluster_resource_namespace="cluster-secrets")

    def spoil(self, name):
        text = certificate_text(name).replace("dnsNames:\n  - example.com", "dnsNames: 7")
        (self._directory / "manifests" / f"certificate.default.{name}.yaml").write_text(text)

    def leave(self):
        self._directory.symlink_to("home")


class MemoryPlace:
    def __init__(self):
        self.home = MemoryHome(cluster_resource_namespace="cluster-secrets")

    def spoil(self, name):
        self.home.break_manifest("Certificate", "default", name, "spec.dnsNames: is wrong")

    def leave(self):
        self.home.away = True


class ClusterPlace:
    def __init__(self, server):
        self._server = server
        self._client = client_of(server)
        make_empty(self._client)
        for name in ("a", "b", "cluster-secrets"):
            make_namespace(server, name)
        self.home = KubernetesHome(
            self._client, cluster_resource_namespace="cluster-secrets", clock=SystemClock()
        )

    def spoil(self, name):
        self._client.merge(CERTIFICATES, "default", name, {"spec": {"dnsNames": ["-.example.com"]}})

    def leave(self):
        nobody = connect(kubeconfig=self._server.kubeconfig())
        nobody.configuration.host = f"https://127.0.0.1:{free_port()}"
        self.home = KubernetesHome(
            KubeClient(nobody), cluster_resource_namespace="cluster-secrets", clock=SystemClock()
        )


@pytest.fixture(params=["directory", "kubernetes", "memory"])
def place(request, tmp_path):
    if request.param == "memory":
        return MemoryPlace()
    if request.param == "kubernetes":
        return ClusterPlace(request.getfixturevalue("kube"))
    return DirectoryPlace(tmp_path)


@pytest.fixture
def home(place):
    return place.home


def signatures(home):
    return {str(s.ref): s.signature for s in home.survey().snapshots}


class TestReading:
    def test_what_is_not_there_is_none(self, home):
        assert home.certificate(WEB) is None
        assert home.issuer(ObjectRef.of("ClusterIssuer", "default", "prod")) is None
        assert home.secret("default", "web") is None
        assert home.certificate_status(WEB) == CertificateStatus()
        assert list(home.certificates()) == list(home.issuers()) == list(home.secrets()) == []
        assert home.survey().snapshots == ()

    @pytest.mark.parametrize(
        "name",
        ["", ".", "..", "../web", "a/b", "a/../../b", "/etc/passwd", "UPPER", "a\0b", "x" * 254, "-a", "a\n"],
    )
    def test_a_name_that_kubernetes_does_not_allow_is_not_there(self, home, name):
        assert home.certificate(CertificateId(f"default/{name}")) is None
        assert home.certificate(CertificateId(f"{name}/web")) is None
        assert home.issuer(ObjectRef.of("Issuer", "default", name)) is None
        assert home.secret("default", name) is None
        assert home.secret(name, "web") is None
        assert home.delete("Certificate", "default", name) is False
        assert home.delete_secret("default", name) is False
        assert home.certificate_status(CertificateId(f"default/{name}")) == CertificateStatus()

    def test_certificates_come_in_the_order_of_their_ids(self, home):
        for namespace, name in (("b", "a"), ("a", "z"), ("a", "b")):
            apply(home, certificate_text(name, namespace))

        assert [c.id for c in home.certificates()] == ["a/b", "a/z", "b/a"]
        assert [c.id for c in home.certificates("a")] == ["a/b", "a/z"]

    def test_an_issuer_is_found_by_its_kind_in_its_namespace(self, home):
        apply(home, issuer_text("prod", "Issuer", "a"))
        apply(home, issuer_text("prod", "ClusterIssuer"))

        found = home.issuer(ObjectRef.of("Issuer", "a", "prod"))
        assert found.reference == "Issuer/a/prod"
        assert home.issuer(ObjectRef.of("Issuer", "b", "prod")) is None
        assert home.issuer(ObjectRef.of("ClusterIssuer", "b", "prod")).reference == "ClusterIssuer/prod"
        assert {issuer.reference for issuer in home.issuers()} == {"Issuer/a/prod", "ClusterIssuer/prod"}
        assert [issuer.reference for issuer in home.issuers("a")] == ["Issuer/a/prod"]
        assert [issuer.reference for issuer in home.issuers("")] == ["ClusterIssuer/prod"]

    def test_secrets_of_an_issuer_are_in_its_namespace_or_the_cluster_resource_namespace(self, home):
        assert home.secrets_namespace(parsed(issuer_text("prod", "Issuer", "a"))) == "a"
        assert home.secrets_namespace(parsed(issuer_text("prod", "ClusterIssuer"))) == "cluster-secrets"


class TestApply:
    def test_a_new_manifest_is_created_a_changed_one_configured_and_the_same_unchanged(self, home):
        assert apply(home, certificate_text()) == "created"
        assert apply(home, certificate_text()) == "unchanged"
        assert apply(home, certificate_text(dns_name="example.org")) == "configured"

        assert home.certificate(WEB).dns_names == ("example.org",)

    def test_a_manifest_that_means_the_same_is_unchanged(self, home):
        apply(home, certificate_text())

        assert apply(home, "# a comment\n" + certificate_text()) == "unchanged"

    def test_a_secret_is_created_configured_and_unchanged(self, home):
        assert apply(home, secret_text()) == "created"
        assert apply(home, secret_text()) == "unchanged"
        assert apply(home, secret_text(value="other")) == "configured"

        assert home.secret("default", "token").data == {"token": b"other"}

    def test_a_very_long_name_can_be_kept(self, home):
        name = "n" * 253

        assert apply(home, certificate_text(name)) == "created"
        home.write_certificate_status(CertificateId(f"default/{name}"), STATUS)

        assert home.certificate(CertificateId(f"default/{name}")).name == name
        assert home.certificate_status(CertificateId(f"default/{name}")) == STATUS

    def test_names_that_kubernetes_does_not_allow_are_refused(self, home):
        certificate = parsed(certificate_text())

        with pytest.raises(InvalidManifest) as caught:
            home.apply(replace(certificate, name="../x"), certificate_text())
        assert caught.value.path == "metadata.name"
        with pytest.raises(InvalidManifest) as caught:
            home.apply(replace(certificate, namespace="a/b"), certificate_text())
        assert caught.value.path == "metadata.namespace"


def asked(dns_name="example.com", **fields):
    """What a request asks for."""
    return replace(parsed(certificate_text(dns_name=dns_name)), **fields)


class TestRequest:
    def test_what_a_request_made_a_request_may_change(self, home):
        assert (home.request(asked()), home.request(asked())) == ("created", "unchanged")
        assert home.request(asked("example.org", duration=timedelta(hours=48))) == "configured"
        assert home.request(asked("example.net")) == "configured"

        kept = home.certificate(WEB)
        assert (kept.dns_names, kept.duration) == (("example.net",), None)
        assert kept.annotations == {"certmill.io/created-by": "request"}

    def test_what_a_manifest_made_no_request_changes(self, home):
        apply(home, certificate_text())
        before = signatures(home)

        with pytest.raises(
            InvalidManifest,
            match=r"Certificate default/web was made by a manifest, and a request does not change it",
        ):
            home.request(asked("example.org"))
        with pytest.raises(InvalidManifest, match=r"was made by a manifest"):
            home.request(asked(secret_name="other"))

        assert (home.certificate(WEB), signatures(home)) == (parsed(certificate_text()), before)

    def test_a_request_for_just_what_a_manifest_says_is_answered_without_a_write(self, home):
        apply(home, certificate_text().replace("name: web\n", "name: web\n  labels:\n    team: shop\n", 1))

        assert home.request(asked()) == "unchanged"
        assert (home.certificate(WEB).labels, home.certificate(WEB).annotations) == ({"team": "shop"}, {})

    @pytest.mark.parametrize("marked", [False, True], ids=["a manifest", "what get prints"])
    def test_a_manifest_applied_over_it_makes_it_the_manifests(self, home, marked):
        home.request(asked("example.com", duration=timedelta(hours=48)))
        text = dump_yaml(certificate_document(home.certificate(WEB))) if marked else certificate_text()

        assert apply(home, text) == "configured"

        assert home.certificate(WEB).annotations == {}
        assert (home.certificate(WEB).duration is None) is not marked
        with pytest.raises(InvalidManifest, match="was made by a manifest"):
            home.request(asked("example.org"))

    def test_a_request_after_the_manifest_was_deleted_makes_it_anew(self, home):
        apply(home, certificate_text())
        home.delete("Certificate", "default", "web")

        assert home.request(asked("example.org")) == "created"

    def test_what_is_there_and_wrong_no_request_changes(self, place):
        apply(place.home, certificate_text())
        place.spoil("web")

        with pytest.raises(InvalidManifest, match="exists and is not valid, and a request does not"):
            place.home.request(asked())

    def test_names_that_kubernetes_does_not_allow_are_refused(self, home):
        with pytest.raises(InvalidManifest):
            home.request(asked(name="../x"))


class TestWhatACaMaySend:
    def test_a_pair_with_the_longest_chain_is_stored_whole_and_read_again(self, home):
        """With all output formats: twice the chain and three keys are less than the 1 MiB of a Secret in
        Kubernetes."""
        certificate = a_certificate(
            additional_output_formats=tuple(OutputFormat), private_key=PrivateKeySpec()
        )
        key = keys.generate(certificate.private_key)
        leaf = a_chain(key)
        longest = leaf * (262_144 // len(leaf))  # what the ACME client takes: tests/ports/test_acme_errors.py
        secret = secret_of(certificate, longest, key, issuer=certificate.issuer_ref)

        home.write_secret(secret)

        found = home.secret("default", "web-tls")
        assert found.data == secret.data
        assert chain.MAX_CHAIN_BYTES - 3000 < len(longest) <= chain.MAX_CHAIN_BYTES
        decision = decide(observe(certificate, found, CertificateStatus(), ("",)), NOW)
        assert isinstance(decision, Keep)
        assert decision.renewal.instant == NOW + 60 * DAY


class TestDelete:
    def test_a_deleted_manifest_is_gone_with_its_status_and_only_once(self, home):
        apply(home, certificate_text())
        home.write_certificate_status(WEB, STATUS)

        assert home.delete("Certificate", "default", "web") is True
        assert home.delete("Certificate", "default", "web") is False
        assert home.certificate(WEB) is None
        assert home.certificate_status(WEB) == CertificateStatus()

    def test_deleting_a_certificate_leaves_its_secret(self, home):
        apply(home, certificate_text())
        home.write_secret(PAIR)

        home.delete("Certificate", "default", "web")

        assert home.secret("default", "web") == PAIR

    def test_a_cluster_issuer_is_deleted_whatever_the_namespace_says(self, home):
        apply(home, issuer_text())

        assert home.delete("ClusterIssuer", "default", "prod") is True
        assert home.issuer(ObjectRef.of("ClusterIssuer", "default", "prod")) is None

    def test_others_stay(self, home):
        apply(home, certificate_text("web"))
        apply(home, certificate_text("mail"))

        home.delete("Certificate", "default", "web")

        assert [c.name for c in home.certificates()] == ["mail"]


class TestSecrets:
    def test_a_secret_is_read_as_it_was_written(self, home):
        secret = replace(
            PAIR,
            labels={"a": "b"},
            annotations={"cert-manager.io/ip-sans": "", "note": "ö\n"},
            data={"tls.crt": b"", "tls.key": b"", "x": b"\0\xff"},
        )

        home.write_secret(secret)

        assert home.secret("default", "web") == secret

    def test_what_leaves_the_template_leaves_the_secret(self, home):
        home.write_secret(
            replace(
                PAIR, labels={"team": "a"}, annotations={"note": "x"}, data={**PAIR.data, "key.der": b"der"}
            )
        )

        home.write_secret(replace(PAIR, labels={"team": "b"}))

        assert home.secret("default", "web") == replace(PAIR, labels={"team": "b"})

    def test_keys_labels_and_annotations_of_others_stay(self, home):
        theirs = Secret(
            namespace="default",
            name="web",
            data={"ca.crt": b"ca"},
            labels={"owner": "them"},
            annotations={"note": "theirs"},
        )
        home.apply(theirs, "theirs")

        home.write_secret(replace(PAIR, labels={"ours": "1"}))
        home.write_secret(PAIR)

        found = home.secret("default", "web")
        assert found.data == {**PAIR.data, "ca.crt": b"ca"}
        assert (found.labels, found.annotations) == ({"owner": "them"}, {"note": "theirs"})

    def test_what_two_want_belongs_to_the_last_writer(self, home):
        home.apply(Secret(namespace="default", name="web", data={"tls.key": b"imported"}), "theirs")
        home.write_secret(PAIR)

        home.apply(Secret(namespace="default", name="web", data={"note": b"n"}), "theirs, later")

        assert home.secret("default", "web").data == {**PAIR.data, "note": b"n"}

    def test_a_secret_keeps_its_type(self, home):
        home.apply(Secret(namespace="default", name="web", type=OPAQUE_TYPE, data={"a": b"b"}), "theirs")

        home.write_secret(PAIR)

        assert home.secret("default", "web").type == OPAQUE_TYPE

    def test_creating_is_for_what_is_not_there(self, home):
        assert home.create_secret(PAIR) is True
        assert home.create_secret(replace(PAIR, data={**PAIR.data, "tls.key": b"other"})) is False

        assert home.secret("default", "web") == PAIR

    def test_of_many_creators_one_wins(self, home):
        secrets = [replace(PAIR, data={**PAIR.data, "tls.key": str(n).encode()}) for n in range(8)]
        created, start = [], threading.Barrier(8)

        def create(secret):
            start.wait()
            if home.create_secret(secret):
                created.append(secret)

        threads = [threading.Thread(target=create, args=(secret,)) for secret in secrets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(created) == 1
        assert home.secret("default", "web") == created[0]

    def test_what_was_created_is_ours_to_change_and_to_take_away(self, home):
        home.create_secret(replace(PAIR, labels={"team": "a"}, data={**PAIR.data, "key.der": b"der"}))

        home.write_secret(replace(PAIR, annotations={"note": "x"}))

        assert home.secret("default", "web") == replace(PAIR, annotations={"note": "x"})

    def test_a_deleted_secret_is_gone_and_only_once(self, home):
        home.write_secret(PAIR)

        assert home.delete_secret("default", "web") is True
        assert home.delete_secret("default", "web") is False
        assert home.secret("default", "web") is None
        assert list(home.secrets()) == []

    def test_all_secrets_can_be_listed(self, home):
        for namespace, name in (("b", "a"), ("a", "z"), ("a", "b")):
            home.write_secret(replace(PAIR, namespace=namespace, name=name))

        assert [(s.namespace, s.name) for s in home.secrets()] == [("a", "b"), ("a", "z"), ("b", "a")]
        assert [(s.namespace, s.name) for s in home.secrets("b")] == [("b", "a")]

    @pytest.mark.parametrize("key", ["", ".", "..", "..data", "..x", "a/b", "../x", "ä", "x" * 254])
    def test_a_key_that_kubernetes_does_not_allow_is_refused(self, home, key):
        with pytest.raises(InvalidManifest) as caught:
            home.write_secret(replace(PAIR, data={key: b""}))

        assert caught.value.path == "data"

    def test_a_value_over_the_cap_is_refused_by_its_key(self, home):
        with pytest.raises(InvalidManifest) as caught:
            home.write_secret(replace(PAIR, data={"big": b"x" * 1_048_577}))

        assert caught.value.path == "data[big]"

    @pytest.mark.parametrize(
        ("namespace", "name"), [("default", "../web"), ("..", "web"), ("", "web"), ("default", "")]
    )
    def test_a_secret_can_not_be_written_elsewhere(self, home, namespace, name):
        with pytest.raises(InvalidManifest):
            home.write_secret(replace(PAIR, namespace=namespace, name=name))


class TestAge:
    def test_what_is_not_there_has_no_age(self, home):
        assert home.created(ObjectRef.of("Certificate", "default", "web")) is None
        assert home.created(ObjectRef.of("Secret", "default", "web")) is None
        assert home.created(ObjectRef.of("Secret", "default", "../web")) is None

    def test_a_renewed_secret_is_as_old_as_before(self, home):
        home.write_secret(PAIR)
        before = home.created(ObjectRef.of("Secret", "default", "web"))

        home.write_secret(replace(PAIR, data={"tls.crt": b"chain 2", "tls.key": b"key 2"}))

        assert home.created(ObjectRef.of("Secret", "default", "web")) == before


class TestStatus:
    def test_a_status_is_read_as_it_was_written(self, home):
        apply(home, certificate_text())
        apply(home, certificate_text("other"))

        home.write_certificate_status(WEB, STATUS)

        assert home.certificate_status(WEB) == STATUS
        assert home.certificate_status(CertificateId("default/other")) == CertificateStatus()

    def test_the_order_of_a_run_is_noted_beside_all_else_and_taken_out_again(self, home):
        apply(home, certificate_text())
        home.write_certificate_status(WEB, STATUS)

        notes.note(home, WEB, order="https://ca.test/order/1", spec="abc")
        noted = home.certificate_status(WEB)
        notes.clear(home, WEB, only="https://ca.test/order/2")
        still_noted = home.certificate_status(WEB)
        notes.clear(home, WEB)

        assert noted == still_noted == replace(STATUS, order="https://ca.test/order/1", order_spec="abc")
        assert home.certificate_status(WEB) == STATUS

    def test_a_status_replaces_all_of_the_one_before(self, home):
        apply(home, certificate_text())
        home.write_certificate_status(WEB, STATUS)
        after = CertificateStatus(
            conditions=(replace(READY, status=False, reason="Expired", last_transition=1_800_000_060.0),)
        )

        home.write_certificate_status(WEB, after)

        assert home.certificate_status(WEB) == after

    def test_a_certificate_is_observed_together_with_its_status(self, home):
        apply(home, certificate_text())
        home.write_certificate_status(WEB, STATUS)

        observed = home.observe(WEB)

        assert (observed.certificate, observed.status) == (home.certificate(WEB), STATUS)
        assert home.observe(CertificateId("default/none")) is None

    def test_a_status_is_not_written_over_one_that_came_after_it_was_read(self, home):
        apply(home, certificate_text())
        read = home.certificate_status(WEB)
        home.write_certificate_status(WEB, replace(read, revision=7))

        with pytest.raises(Conflict):
            home.write_certificate_status(WEB, replace(read, revision=8))
        assert home.certificate_status(WEB).revision == 7

    def test_a_write_that_changes_nothing_in_an_old_status_is_a_conflict_too(self, home):
        apply(home, certificate_text())
        read = home.certificate_status(WEB)
        home.write_certificate_status(WEB, replace(read, order="https://ca.test/order/1", order_spec="abc"))

        with pytest.raises(Conflict):
            home.write_certificate_status(WEB, read)

    def test_a_status_can_be_written_again_from_what_was_read_before(self, home):
        apply(home, certificate_text())
        read = home.certificate_status(WEB)
        for _ in range(2):
            home.write_certificate_status(WEB, replace(read, revision=7))

        assert home.certificate_status(WEB).revision == 7

    def test_what_is_not_there_has_no_status_and_gets_none(self, home):
        home.write_certificate_status(WEB, STATUS)
        home.write_issuer_status(parsed(issuer_text()), ISSUER_STATUS)
        apply(home, certificate_text())
        apply(home, issuer_text())

        assert home.certificate_status(WEB) == CertificateStatus()
        assert home.issuer_status(parsed(issuer_text())) == IssuerStatus()

    def test_an_issuers_status_is_its_own(self, home):
        one, other = issuer_text("prod", "Issuer", "a"), issuer_text("prod", "ClusterIssuer")
        apply(home, one)
        apply(home, other)

        home.write_issuer_status(parsed(one), ISSUER_STATUS)

        assert home.issuer_status(parsed(one)) == ISSUER_STATUS
        assert home.issuer_status(parsed(other)) == IssuerStatus()

    def test_an_account_of_another_server_is_not_that_of_the_server_the_issuer_names(self, home):
        apply(home, issuer_text())
        home.write_issuer_status(parsed(issuer_text()), ISSUER_STATUS)
        moved = issuer_text(server="https://other.example/dir")

        apply(home, moved)
        status = home.issuer_status(parsed(moved))
        refused = replace(
            READY, status=False, reason="ErrRegisterACMEAccount", last_transition=1_800_000_060.0
        )
        home.write_issuer_status(parsed(moved), replace(status, conditions=(refused,)))

        assert status.server != "https://other.example/dir"
        assert home.issuer_status(parsed(moved)).server != "https://other.example/dir"


class TestSurvey:
    def test_it_sees_every_certificate_and_issuer(self, home):
        apply(home, certificate_text())
        apply(home, issuer_text())
        apply(home, issuer_text("stage", "Issuer", "a"))

        assert set(signatures(home)) == {"Certificate/default/web", "ClusterIssuer/prod", "Issuer/a/stage"}
        assert home.survey().problems == ()

    def test_a_signature_stays_while_nothing_changes(self, home):
        apply(home, certificate_text())
        home.write_secret(PAIR)
        before = signatures(home)

        home.write_secret(PAIR)
        home.write_certificate_status(WEB, STATUS)
        apply(home, certificate_text("other"))

        assert signatures(home)["Certificate/default/web"] == before["Certificate/default/web"]

    def test_a_signature_changes_with_the_manifest_and_with_the_secret(self, home):
        apply(home, certificate_text())
        seen = [signatures(home)]

        apply(home, certificate_text(dns_name="example.org"))
        seen.append(signatures(home))
        home.write_secret(PAIR)
        seen.append(signatures(home))
        home.write_secret(replace(PAIR, data={"tls.crt": b"chain 2", "tls.key": b"key 2"}))
        seen.append(signatures(home))
        home.delete_secret("default", "web")
        seen.append(signatures(home))

        assert len({each["Certificate/default/web"] for each in seen[:4]}) == 4
        assert seen[4] != seen[3]

    def test_what_is_deleted_is_seen_no_more(self, home):
        apply(home, certificate_text())
        home.survey()

        home.delete("Certificate", "default", "web")

        assert home.survey().snapshots == ()


class TestBrokenManifests:
    def test_what_is_there_and_wrong_is_no_none(self, place, home):
        apply(home, certificate_text())
        place.spoil("web")

        with pytest.raises(InvalidManifest):
            home.certificate(WEB)

    def test_it_is_a_problem_and_everything_else_goes_on(self, place, home):
        apply(home, certificate_text())
        apply(home, certificate_text("mail"))
        place.spoil("web")

        survey = home.survey()

        assert [s.ref.name for s in survey.snapshots] == ["mail"]
        assert [c.name for c in home.certificates()] == ["mail"]
        assert len(survey.problems) == 1
        assert "web" in survey.problems[0].source

    def test_it_can_be_repaired_by_applying_it(self, place, home):
        apply(home, certificate_text())
        place.spoil("web")

        assert apply(home, certificate_text()) == "configured"
        assert home.certificate(WEB).dns_names == ("example.com",)
        assert home.survey().problems == ()

    def test_it_can_be_deleted(self, place, home):
        apply(home, certificate_text())
        place.spoil("web")

        assert home.delete("Certificate", "default", "web") is True
        assert home.certificate(WEB) is None
        assert home.survey().problems == ()


CALLS = {
    "certificate": lambda home: home.certificate(WEB),
    "certificates": lambda home: list(home.certificates()),
    "issuer": lambda home: home.issuer(ObjectRef.of("Issuer", "default", "prod")),
    "issuers": lambda home: list(home.issuers()),
    "secret": lambda home: home.secret("default", "web"),
    "secrets": lambda home: list(home.secrets()),
    "write_secret": lambda home: home.write_secret(PAIR),
    "create_secret": lambda home: home.create_secret(PAIR),
    "delete_secret": lambda home: home.delete_secret("default", "web"),
    "apply": lambda home: apply(home, certificate_text()),
    "apply a Secret": lambda home: apply(home, secret_text()),
    "request": lambda home: home.request(parsed(certificate_text())),
    "apply_all": lambda home: list(home.apply_all([(parsed(certificate_text()), certificate_text())])),
    "delete": lambda home: home.delete("Certificate", "default", "web"),
    "certificate_status": lambda home: home.certificate_status(WEB),
    "write_certificate_status": lambda home: home.write_certificate_status(WEB, STATUS),
    "issuer_status": lambda home: home.issuer_status(parsed(issuer_text())),
    "write_issuer_status": lambda home: home.write_issuer_status(parsed(issuer_text()), IssuerStatus()),
    "survey": lambda home: home.survey(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_home_that_cannot_be_reached_says_so_and_what_to_do(place, tmp_path, call):
    place.leave()

    with pytest.raises(HomeUnavailable) as caught:
        CALLS[call](place.home)

    assert str(tmp_path) not in str(caught.value)
    assert ":" in str(caught.value) or ";" in str(caught.value)
