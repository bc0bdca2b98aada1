"""What the home in a cluster does that other homes cannot: against the real API server."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from certmill.certificates import statuses
from certmill.clock import SystemClock
from certmill.errors import Conflict, Forbidden, InvalidManifest, NotFound, Permanent
from certmill.home.cached import CachedHome
from certmill.home.kubernetes.events import Involved, KubernetesEvents
from certmill.home.kubernetes.home import KubernetesHome
from certmill.home.kubernetes.secrets import CERT_MANAGER
from certmill.kube.client import KubeClient
from certmill.kube.connection import connect
from certmill.kube.objects import managed_fields, meta_of, rfc3339
from certmill.kube.resources import CERTIFICATES, CLUSTER_ISSUERS, EVENTS, ISSUERS, NAMESPACES, SECRETS
from certmill.model.annotations import CREATED_BY
from certmill.model.history import PastRun
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.model.object_ref import ObjectRef
from certmill.model.secret import TLS_TYPE, Secret
from certmill.model.status import CertificateStatus, Condition, IssuerStatus
from certmill.renewal.decision import decide
from certmill.renewal.observation import observe
from certmill.runtime import Runtime
from certmill.settings import Settings
from certmill.steps.orders import notes
from certmill.testing.clock import FakeClock
from compose.servers.ports import free_port
from tests.support.builders import NOW, a_certificate, a_pair, an_issuer
from tests.support.cluster import OTHER, client_of, make_empty, make_namespace
from tests.support.manifest_bodies import an_issuer_body

WEB = a_certificate()
PAIR = Secret(
    namespace="default", name="web-tls", type=TLS_TYPE, data={"tls.crt": b"chain", "tls.key": b"key"}
)
ISSUING = Condition(
    type="Issuing", status=True, reason="DoesNotExist", message="Issuing certificate", last_transition=NOW
)
STATUS = CertificateStatus(conditions=(ISSUING,))
REGISTERED = IssuerStatus(
    conditions=(
        Condition(
            type="Ready",
            status=True,
            reason="ACMEAccountRegistered",
            message="registered",
            last_transition=NOW,
        ),
    ),
    uri="https://ca.test/account/1",
)


@pytest.fixture
def client(kube):
    client = client_of(kube)
    make_empty(client)
    return client


@pytest.fixture
def home(client):
    return KubernetesHome(client, cluster_resource_namespace="cert-manager", clock=SystemClock())


@pytest.fixture
def events(client):
    return KubernetesEvents(client, FakeClock(NOW))


ISSUER_TEXT = """\
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata:
  name: prod
spec:
  acme:
    server: https://ca.test/dir
    privateKeySecretRef:
      name: prod-account
    solvers:
    - http01:
        ingress: {}
"""


def apply(home, certificate):
    return home.apply(certificate, dump_yaml(certificate_document(certificate)))


def version(client, resource, namespace, name):
    return meta_of(client.get(resource, namespace, name)).resource_version


class Interfering:
    """A client before whose first write of an object somebody else writes it."""

    def __init__(self, client, interfere):
        self._client, self._interfere = client, interfere

    def __getattr__(self, name):
        return getattr(self._client, name)

    def update(self, resource, body, **options):
        interfere, self._interfere = self._interfere, lambda: None
        interfere()
        return self._client.update(resource, body, **options)

    def merge(self, resource, namespace, name, patch, **options):
        interfere, self._interfere = self._interfere, lambda: None
        interfere()
        return self._client.merge(resource, namespace, name, patch, **options)


class TestSecrets:
    def test_a_status_is_read_anew_though_its_certificate_was_read_a_moment_ago(self, home, client):
        apply(home, WEB)
        observed = home.observe(WEB.id)
        KubernetesHome(
            client, cluster_resource_namespace="cert-manager", clock=SystemClock()
        ).write_certificate_status(WEB.id, STATUS)

        assert (observed.certificate, observed.status.conditions) == (WEB, ())
        assert home.certificate_status(WEB.id).conditions == STATUS.conditions

    def test_a_note_of_an_order_that_was_taken_away_meanwhile_is_not_written_again(self, home, client):
        apply(home, WEB)
        noted = replace(STATUS, order="https://ca.test/order/1", order_spec="x")
        home.write_certificate_status(WEB.id, noted)
        another = KubernetesHome(client, cluster_resource_namespace="cert-manager", clock=SystemClock())
        read = another.certificate_status(WEB.id)
        home.write_certificate_status(WEB.id, STATUS)  # the last step of the run

        with pytest.raises(Conflict):
            another.write_certificate_status(
                WEB.id, replace(read, history=(PastRun(at=NOW, issued=True, message="x"),))
            )
        assert home.certificate_status(WEB.id).order == ""

    def test_a_write_that_says_nothing_new_sends_nothing(self, home, client):
        secret = replace(PAIR, labels={"a": "b"}, annotations={"note": ""})
        home.write_secret(secret)
        before = version(client, SECRETS, "default", "web-tls")

        home.write_secret(secret)

        assert version(client, SECRETS, "default", "web-tls") == before

    def test_what_anybody_else_put_there_stays(self, home, client):
        home.write_secret(PAIR)
        foreign = {
            "metadata": {"labels": {"team": "x"}, "annotations": {"note": "theirs"}},
            "data": {"extra": "eA=="},
        }
        client.merge(SECRETS, "default", "web-tls", foreign)

        home.write_secret(replace(PAIR, data={"tls.crt": b"chain 2", "tls.key": b"key 2"}))

        found = home.secret("default", "web-tls")
        assert (found.labels, found.annotations, found.data["extra"]) == (
            {"team": "x"},
            {"note": "theirs"},
            b"x",
        )
        assert found.data["tls.crt"] == b"chain 2"

    @staticmethod
    def of_cert_manager(client, **metadata):
        """A Secret as cert-manager's issuing controller applies it, with a label and an annotation of a
        template."""
        labels = {"controller.cert-manager.io/fao": "true", "team": "old"}
        annotations = {"cert-manager.io/certificate-name": "web", "note": "of the template"}
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": TLS_TYPE,
            "data": {"tls.crt": "Y2hhaW4=", "tls.key": "a2V5"},
        }
        body["metadata"] = {
            "name": "web-tls",
            "namespace": "default",
            "labels": labels,
            "annotations": annotations,
        } | metadata
        client.apply(SECRETS, body, manager=CERT_MANAGER)

    def test_fields_of_cert_manager_are_taken_over_and_leave_with_the_template(self, home, client):
        self.of_cert_manager(client)
        theirs = {"name": "web-tls", "namespace": "default", "labels": {"theirs": "x"}}
        client.apply(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": theirs}, manager=OTHER)

        home.write_secret(replace(PAIR, labels={"controller.cert-manager.io/fao": "true"}))

        found = home.secret("default", "web-tls")
        assert (found.labels, found.annotations) == (
            {"controller.cert-manager.io/fao": "true", "theirs": "x"},
            {},
        )
        managers = {
            entry["manager"]
            for entry in client.get(SECRETS, "default", "web-tls")["metadata"]["managedFields"]
        }
        assert CERT_MANAGER not in managers

    def test_after_a_return_to_cert_manager_and_back_it_is_taken_over_again(self, home, client):
        home.write_secret(replace(PAIR, labels={"ours": "x"}))
        self.of_cert_manager(client)

        home.write_secret(replace(PAIR, labels={"new": "y"}))

        assert home.secret("default", "web-tls").labels == {"new": "y"}

    def test_a_secret_has_no_owner_so_that_it_outlives_its_certificate(self, home, client):
        home.write_secret(PAIR)

        assert "ownerReferences" not in client.get(SECRETS, "default", "web-tls")["metadata"]

    def test_what_was_changed_by_hand_is_put_right(self, home, client):
        home.write_secret(replace(PAIR, annotations={"note": "ours"}))
        client.merge(
            SECRETS,
            "default",
            "web-tls",
            {"metadata": {"annotations": {"note": None}}, "data": {"tls.key": "eA=="}},
        )

        home.write_secret(replace(PAIR, annotations={"note": "ours"}))

        found = home.secret("default", "web-tls")
        assert (found.annotations, found.data) == ({"note": "ours"}, PAIR.data)

    def test_a_secret_that_is_already_right_but_not_ours_becomes_ours_once(self, home, client):
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "web-tls", "namespace": "default"},
            "type": TLS_TYPE,
        }
        client.apply(SECRETS, {**body, "data": {"tls.crt": "Y2hhaW4=", "tls.key": "a2V5"}}, manager=OTHER)

        home.write_secret(PAIR)
        before = version(client, SECRETS, "default", "web-tls")
        home.write_secret(PAIR)

        assert version(client, SECRETS, "default", "web-tls") == before

    @pytest.mark.parametrize(
        "secret",
        [
            replace(PAIR, data={"tls.crt": b"only"}),
            replace(PAIR, data={**PAIR.data, "a": b"x" * 700_000, "b": b"x" * 700_000}),
        ],
        ids=["a TLS Secret without a key", "more than a megabyte in all"],
    )
    def test_what_the_api_does_not_take_is_refused_for_good(self, home, secret):
        for write in (home.write_secret, home.create_secret):
            with pytest.raises(InvalidManifest):
                write(secret)

    def test_a_secret_that_is_immutable_is_refused_with_the_servers_words(self, home, client):
        home.write_secret(PAIR)
        client.merge(SECRETS, "default", "web-tls", {"immutable": True})

        with pytest.raises(InvalidManifest, match="immutable"):
            home.write_secret(replace(PAIR, data={"tls.crt": b"2", "tls.key": b"2"}))

    def test_a_megabyte_of_crafted_pem_is_a_reason_to_issue_and_costs_no_time(self, home):
        certificate = a_certificate()
        pem = a_pair(certificate, days=1.0).data["tls.crt"]
        crafted = (pem + b"-----BEGIN CERTIFICATE-----\n" * 20_000 + pem * 400)[:1_000_000]
        home.write_secret(
            replace(PAIR, data={"tls.crt": crafted, "tls.key": b"-----BEGIN PRIVATE KEY-----\n" * 1_000})
        )

        began = time.monotonic()
        seen = observe(certificate, home.secret("default", "web-tls"), CertificateStatus(), ("spec",))
        decision = decide(seen, NOW)

        assert decision.violation.reason == "InvalidKeyPair"
        assert time.monotonic() - began < 10, "what is quadratic in it takes minutes"


class TestNamespaces:
    @pytest.fixture
    def doomed(self, client, kube):
        name = f"doomed-{time.monotonic_ns()}"
        make_namespace(kube, name)
        client.delete(NAMESPACES, "", name)
        return name

    def test_in_one_that_is_being_deleted_nothing_is_made_and_nobody_tries_for_ever(self, home, doomed):
        for write in (home.write_secret, home.create_secret):
            with pytest.raises(Forbidden, match="its namespace is being deleted") as caught:
                write(replace(PAIR, namespace=doomed))
            assert isinstance(caught.value, Permanent)

    def test_an_event_in_it_is_lost_quietly(self, events, client, doomed):
        events.record_event(a_certificate(namespace=doomed), "Issuing", "message")

        assert client.list(EVENTS, doomed).items == ()

    def test_without_its_namespace_a_secret_cannot_be_written(self, home):
        with pytest.raises(NotFound, match="nowhere"):
            home.write_secret(replace(PAIR, namespace="nowhere"))


class TestStatuses:
    def test_a_write_that_says_nothing_new_sends_nothing(self, home, client):
        apply(home, WEB)
        failed = replace(
            STATUS, last_failure_time=NOW, failed_issuance_attempts=2, next_attempt=NOW + 60, failed_spec="x"
        )
        home.write_certificate_status(WEB.id, failed)
        before = version(client, CERTIFICATES, "default", "web")

        home.write_certificate_status(WEB.id, failed)

        assert version(client, CERTIFICATES, "default", "web") == before

    def test_a_status_that_somebody_changed_in_this_moment_is_not_overwritten(self, home, client):
        apply(home, WEB)

        def interfere():
            client.merge(
                CERTIFICATES,
                "default",
                "web",
                {"status": {"lastFailureTime": "2027-01-01T00:00:00Z"}},
                subresource="status",
            )

        home._client = Interfering(client, interfere)

        with pytest.raises(Conflict):
            home.write_certificate_status(WEB.id, STATUS)
        assert home.certificate_status(WEB.id).conditions == ()

    def test_a_label_or_spec_that_somebody_changed_in_this_moment_is_nothing_to_it(self, home, client):
        apply(home, WEB)

        def interfere():
            client.merge(
                CERTIFICATES,
                "default",
                "web",
                {"metadata": {"labels": {"a": "b"}}, "spec": {"dnsNames": ["new.example.test"]}},
            )

        home._client = Interfering(client, interfere)
        home.write_certificate_status(WEB.id, STATUS)

        assert home.certificate_status(WEB.id).conditions == (ISSUING,)
        assert home.certificate(WEB.id).dns_names == ("new.example.test",)

    @pytest.mark.parametrize(
        "status", [STATUS, replace(STATUS, order="https://ca.test/order/1", order_spec="x")]
    )
    def test_what_is_said_of_a_spec_is_not_said_of_the_one_that_comes_in_this_moment(
        self, home, client, status
    ):
        apply(home, WEB)
        read = client.get(CERTIFICATES, "default", "web")["metadata"]["generation"]
        change = {"spec": {"dnsNames": ["new.example.test"]}}
        home._client = Interfering(client, lambda: client.merge(CERTIFICATES, "default", "web", change))
        home.write_certificate_status(WEB.id, status)

        now = client.get(CERTIFICATES, "default", "web")
        assert now["metadata"]["generation"] == read + 1
        assert [one["observedGeneration"] for one in now["status"]["conditions"]] == [read]

    def test_a_certificate_deleted_in_this_moment_gets_no_status(self, home, client):
        apply(home, WEB)
        home._client = Interfering(client, lambda: client.delete(CERTIFICATES, "default", "web"))

        home.write_certificate_status(WEB.id, STATUS)

        assert home.certificate(WEB.id) is None

    def test_what_cannot_be_used_is_reported_so_once_and_keeps_the_rest(self, home, client):
        apply(home, WEB)
        home.apply(an_issuer(), ISSUER_TEXT)
        home.write_certificate_status(WEB.id, replace(STATUS, revision=3))

        for _ in range(2):
            said = [
                home.refuse(
                    ObjectRef.of("Certificate", "default", "web"),
                    reason="InvalidSpec",
                    message="spec.dnsNames[0]: is no name",
                ),
                home.refuse(
                    ObjectRef.of("ClusterIssuer", "", "prod"),
                    reason="InvalidConfig",
                    message="spec.acme: is missing",
                ),
            ]
            before = (
                version(client, CERTIFICATES, "default", "web"),
                version(client, CLUSTER_ISSUERS, "", "prod"),
            )
        assert said == [False, False]  # it was said before
        assert not home.refuse(
            ObjectRef.of("Certificate", "default", "gone"), reason="InvalidSpec", message="nobody is there"
        )

        status = home.certificate_status(WEB.id)
        assert (status.condition("Ready").reason, status.condition("Ready").status) == ("InvalidSpec", False)
        assert (status.condition("Issuing").status, status.revision) == (True, 3)
        assert home.issuer_status(an_issuer()).condition("Ready").reason == "InvalidConfig"
        assert (
            version(client, CERTIFICATES, "default", "web"),
            version(client, CLUSTER_ISSUERS, "", "prod"),
        ) == before


class TestWhatIsBeingDeleted:
    """Objects with a finalizer of somebody else: they are there until that is done."""

    @pytest.fixture
    def ending(self, client, kube):
        """Begin the deletion of an object that a finalizer holds; the finalizer goes after the test."""
        held = []

        def end(resource, namespace, name):
            held.append((resource, namespace, name))
            client.merge(resource, namespace, name, {"metadata": {"finalizers": ["example.com/hold"]}})
            client.delete(resource, namespace, name)

        yield end
        for resource, namespace, name in held:
            client.merge(resource, namespace, name, {"metadata": {"finalizers": None}})

    def test_a_certificate_and_an_issuer_say_so(self, home, ending):
        apply(home, WEB)
        home.apply(an_issuer(), ISSUER_TEXT)
        assert not home.certificate(WEB.id).deleting
        ending(CERTIFICATES, "default", "web")
        ending(CLUSTER_ISSUERS, "", "prod")

        assert home.certificate(WEB.id).deleting
        assert home.issuer(WEB.issuer).deleting

    def test_nothing_is_said_of_what_is_wrong_with_it(self, home, client, ending):
        apply(home, WEB)
        ending(CERTIFICATES, "default", "web")

        assert not home.refuse(
            ObjectRef.of("Certificate", "default", "web"), reason="InvalidSpec", message="is wrong"
        )
        assert "status" not in client.get(CERTIFICATES, "default", "web")

    @pytest.mark.parametrize("read_before", [True, False], ids=["read before", "read after"])
    def test_no_status_is_written_to_a_certificate(self, home, client, ending, read_before):
        apply(home, WEB)
        if read_before:
            home.certificate_status(WEB.id)
        ending(CERTIFICATES, "default", "web")
        before = version(client, CERTIFICATES, "default", "web")

        home.write_certificate_status(WEB.id, STATUS)
        assert version(client, CERTIFICATES, "default", "web") == before


class TestAnIssuerMadeAgainUnderItsName:
    """It is another: its status is its own, and has no account until it has been registered."""

    @staticmethod
    def made(home):
        home.apply(an_issuer(), ISSUER_TEXT)
        return home.issuer(WEB.issuer)

    def test_it_gets_nothing_of_the_status_of_the_former(self, home, client):
        former = self.made(home)
        home.write_issuer_status(former, REGISTERED)
        client.delete(CLUSTER_ISSUERS, "", "prod")
        self.made(home)

        assert home.issuer_status(former).conditions == ()
        home.write_issuer_status(former, REGISTERED)

        assert "status" not in client.get(CLUSTER_ISSUERS, "", "prod")

    def test_it_gets_none_that_was_on_its_way(self, home, client):
        """The former had no status yet either, so that what is there now looks the same."""
        former = self.made(home)

        def make_again():
            client.delete(CLUSTER_ISSUERS, "", "prod")
            self.made(home)

        home._client = Interfering(client, make_again)
        with pytest.raises(Conflict):
            home.write_issuer_status(former, REGISTERED)

        assert "status" not in client.get(CLUSTER_ISSUERS, "", "prod")


class TestACertificateMadeAgainUnderItsName:
    """A worker has the status of the former Certificate in its cache."""

    @pytest.fixture
    def cached(self, home, client):
        apply(home, WEB)
        cached = CachedHome(home, FakeClock(NOW))
        cached.certificate_status(WEB.id)
        client.delete(CERTIFICATES, "default", "web")
        apply(home, WEB)
        return cached

    @pytest.mark.parametrize(
        "change",
        [
            {"conditions": (ISSUING,)},
            {"order": "https://ca.test/order/1", "order_spec": "x"},
            {"last_failure_time": NOW, "failed_issuance_attempts": 1, "next_attempt": NOW + 60},
        ],
    )
    def test_the_change_of_its_status_is_made_from_the_new_one(self, home, cached, change):
        statuses.update(cached, WEB.id, lambda status: replace(status, **change))

        stored = home.certificate_status(WEB.id)
        assert {name: getattr(stored, name) for name in change} == change
        assert cached.certificate_status(WEB.id) == stored

    def test_a_write_that_changes_nothing_gets_the_new_one_into_the_cache(self, home, client, cached):
        statuses.update(cached, WEB.id, lambda status: status)

        uid = meta_of(client.get(CERTIFICATES, "default", "web")).uid
        assert meta_of(cached.certificate_status(WEB.id).version).uid == uid


class TestAStatusInTheCacheOfAnotherWorker:
    @pytest.fixture
    def cached(self, home):
        apply(home, WEB)
        home.write_certificate_status(WEB.id, STATUS)
        cached = CachedHome(home, FakeClock(NOW))
        cached.certificate_status(WEB.id)
        return cached

    def test_the_note_of_an_order_that_came_later_is_removed(self, home, cached):
        notes.note(home, WEB.id, order="https://ca.test/order/1", spec="x")

        notes.clear(cached, WEB.id)

        assert home.certificate_status(WEB.id).order == ""

    def test_a_write_that_changes_nothing_does_not_make_it_last_longer(self, home, cached):
        home.write_certificate_status(WEB.id, replace(STATUS, revision=7))

        with pytest.raises(Conflict):
            cached.write_certificate_status(WEB.id, cached.certificate_status(WEB.id))

        assert cached.certificate_status(WEB.id).revision == 7

    def test_of_a_certificate_that_is_deleted_it_is_forgotten(self, home, client, cached):
        client.delete(CERTIFICATES, "default", "web")

        for change in ({}, {"revision": 7}):
            former = replace(cached.certificate_status(WEB.id), **change)
            assert cached.write_certificate_status(WEB.id, former) is None

        assert cached.certificate_status(WEB.id).version is None


class TestAnIssuerWhoseSpecChanges:
    """Its account is registered at the server that it named before."""

    def test_the_account_is_none_at_the_server_that_it_names_now(self, home, client):
        former = TestAnIssuerMadeAgainUnderItsName.made(home)
        client.merge(CLUSTER_ISSUERS, "", "prod", {"spec": {"acme": {"server": "https://other.test/dir"}}})

        with pytest.raises(Conflict):
            home.write_issuer_status(former, REGISTERED)
        assert home.issuer_status(former) == IssuerStatus()

    def test_a_label_or_an_annotation_changes_nothing(self, home, client):
        former = TestAnIssuerMadeAgainUnderItsName.made(home)
        client.merge(
            CLUSTER_ISSUERS, "", "prod", {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}}
        )

        home.write_issuer_status(former, REGISTERED)

        assert home.issuer_status(former).server == former.server


class TestIssuingSetByHand:
    @pytest.mark.parametrize("reason", ["ManuallyTriggered", "Rotation", "Renewing"])
    def test_it_is_asked_for_whatever_its_reason(self, home, kube, reason):
        apply(home, WEB)
        set_issuing(kube, reason)

        assert home.certificate_status(WEB.id).asked

    def test_our_own_mark_of_a_run_asks_for_nothing(self, home, client):
        apply(home, WEB)
        home.write_certificate_status(WEB.id, STATUS)
        client.merge(CERTIFICATES, "default", "web", {"metadata": {"labels": {"a": "b"}}})

        assert not home.certificate_status(WEB.id).asked

    def test_a_failure_that_we_wrote_over_it_asks_for_nothing(self, home, kube):
        apply(home, WEB)
        set_issuing(kube, "Rotation")
        failed = replace(ISSUING, status=False, reason="Failed")
        home.write_certificate_status(WEB.id, CertificateStatus(conditions=(failed,)))
        home.write_certificate_status(WEB.id, STATUS)

        assert not home.certificate_status(WEB.id).asked


def set_issuing(kube, reason):
    """As a person does: kubectl edit --subresource=status."""
    condition = {
        "type": "Issuing",
        "status": "True",
        "reason": reason,
        "message": "asked",
        "lastTransitionTime": "2027-01-01T00:00:00Z",
    }
    path = f"{CERTIFICATES.path('default', 'web')}/status"
    answer = kube.api.request("GET", path)
    answer.body.setdefault("status", {})["conditions"] = [condition]
    assert kube.api.request("PUT", f"{path}?fieldManager={OTHER}", answer.body).is_ok


class TestTheFieldManagerOfSecrets:
    @pytest.mark.parametrize(
        ("first", "second"),
        [("certmill", CERT_MANAGER), (CERT_MANAGER, "certmill"), ("certmill", "acme.example")],
    )
    def test_a_change_of_it_takes_over_what_the_former_wrote(self, client, first, second):
        homes = [
            KubernetesHome(
                client,
                cluster_resource_namespace="cert-manager",
                clock=SystemClock(),
                secrets_manager=manager,
            )
            for manager in (first, second)
        ]
        homes[0].write_secret(replace(PAIR, annotations={"note": "of the template"}))
        homes[1].write_secret(PAIR)

        entries = managed_fields(client.get(SECRETS, "default", "web-tls"))
        assert [(entry["manager"], entry["operation"]) for entry in entries] == [(second, "Apply")]
        assert homes[1].secret("default", "web-tls").annotations == {}

    def test_a_secret_that_is_created_has_it_too(self, client):
        home = KubernetesHome(
            client,
            cluster_resource_namespace="cert-manager",
            clock=SystemClock(),
            secrets_manager=CERT_MANAGER,
        )
        assert home.create_secret(PAIR)

        entries = managed_fields(client.get(SECRETS, "default", "web-tls"))
        assert [(entry["manager"], entry["operation"]) for entry in entries] == [(CERT_MANAGER, "Apply")]


class TestCertificatesOfAnotherGroup:
    """They have an issuer that somebody else serves, under a name that one of ours may have too."""

    @pytest.fixture
    def foreign(self, home, client):
        apply(home, WEB)
        ref = {"name": "prod", "kind": "ClusterIssuer", "group": "awspca.cert-manager.io"}
        client.merge(CERTIFICATES, "default", "web", {"spec": {"issuerRef": ref}})
        return version(client, CERTIFICATES, "default", "web")

    def test_they_are_not_there_for_us_and_nothing_is_written_to_them(self, home, client, foreign):
        assert home.certificate(WEB.id) is None
        assert list(home.certificates()) == []
        assert (home.survey().snapshots, home.survey().problems) == ((), ())
        assert version(client, CERTIFICATES, "default", "web") == foreign

    def test_they_are_ours_again_with_an_issuer_of_ours(self, home, client, foreign):
        client.merge(CERTIFICATES, "default", "web", {"spec": {"issuerRef": {"group": "cert-manager.io"}}})

        assert home.certificate(WEB.id).issuer_ref.name == "prod"


class TestApplying:
    def test_a_document_without_a_namespace_goes_where_the_manifest_says(self, home):
        text = dump_yaml(certificate_document(WEB)).replace("  namespace: default\n", "")

        assert home.apply(replace(WEB, namespace="default"), text) == "created"
        assert home.certificate(WEB.id).dns_names == WEB.dns_names

    def test_what_the_crd_refuses_names_the_field(self, home):
        text = dump_yaml(certificate_document(WEB)).replace("secretName: web-tls", "secretName: ''")

        with pytest.raises(InvalidManifest, match=r"spec\.secretName"):
            home.apply(WEB, text)

    def test_a_field_that_somebody_else_owns_is_taken_over(self, home, client):
        apply(home, WEB)
        client.merge(CERTIFICATES, "default", "web", {"spec": {"dnsNames": ["theirs.example.test"]}})

        assert apply(home, WEB) == "configured"
        assert home.certificate(WEB.id).dns_names == WEB.dns_names

    def test_an_issuer_of_no_kind_that_we_know_is_not_there(self, home):
        assert home.issuer(ObjectRef.of("AWSPCAIssuer", "default", "prod")) is None
        assert home.created(ObjectRef.of("Ingress", "default", "web")) is None


class TestEvents:
    def listed(self, client, **fields):
        found = client.list(EVENTS, "default").items
        return [
            body
            for body in found
            if all(body["involvedObject"].get(name) == value for name, value in fields.items())
        ]

    def test_kubectl_describe_finds_an_event_by_the_object_it_is_about(self, home, client, events, kube):
        apply(home, WEB)
        certificate = home.certificate(WEB.id)

        events.record_event(certificate, "Failed", "the CA says no", warning=True)

        uid = meta_of(client.get(CERTIFICATES, "default", "web")).uid
        about = {"name": "web", "namespace": "default", "uid": uid, "kind": "Certificate"}
        selector = ",".join(f"involvedObject.{field}={value}" for field, value in about.items())
        found = kube.api.request("GET", f"/api/v1/namespaces/default/events?fieldSelector={selector}").body[
            "items"
        ]
        assert [(body["type"], body["reason"], body["message"]) for body in found] == [
            ("Warning", "Failed", "the CA says no")
        ]

    @pytest.mark.parametrize(
        ("kind", "namespace", "about"), [("Issuer", "default", "default"), ("ClusterIssuer", "", "")]
    )
    def test_kubectl_describe_finds_an_event_of_an_issuer(
        self, home, client, events, kube, kind, namespace, about
    ):
        """As kubectl asks: of a ClusterIssuer there is no namespace to ask for."""
        body = an_issuer_body(kind=kind) | {
            "metadata": {"name": "prod"} | ({"namespace": namespace} if namespace else {})
        }
        name = client.apply(ISSUERS if namespace else CLUSTER_ISSUERS, body)["metadata"]["name"]
        issuer = home.issuer(ObjectRef.of(kind, namespace, name))

        events.record_issuer_event(issuer, "ErrRegisterACMEAccount", "unknown key id", warning=True)

        fields = {"name": "prod", "namespace": about, "uid": issuer.uid, "kind": kind}
        selector = ",".join(f"involvedObject.{field}={value}" for field, value in fields.items())
        found = kube.api.request("GET", f"/api/v1/events?fieldSelector={selector}").body["items"]
        assert issuer.uid
        assert [(one["type"], one["reason"], one["message"]) for one in found] == [
            ("Warning", "ErrRegisterACMEAccount", "unknown key id")
        ]

    def test_the_same_again_is_counted_and_another_is_another(self, client, events):
        for message in ("one", "one", "two", "one"):
            events.record_event(WEB, "Issuing", message)

        assert sorted((body["message"], body["count"]) for body in self.listed(client, name="web")) == [
            ("one", 3),
            ("two", 1),
        ]

    def test_an_event_that_is_written_behind_has_the_time_at_which_it_was_recorded(self, client):
        clock, writes = FakeClock(NOW), []
        events = KubernetesEvents(client, clock, writes.append)
        for message in ("one", "two"):
            events.record_event(WEB, "Issuing", message)
            clock.advance(60)
        assert self.listed(client, name="web") == []

        for write in writes:
            write()

        times = {body["message"]: body["firstTimestamp"] for body in self.listed(client, name="web")}
        assert times == {"one": rfc3339(NOW), "two": rfc3339(NOW + 60)}

    def test_a_process_that_stops_writes_its_events_first(self, client, kube, redis_server):
        settings = {
            "home_kind": "kubernetes",
            "kubeconfig": kube.kubeconfig(),
            "redis_url": redis_server.url,
        }
        runtime = Runtime.open(Settings.model_validate(settings))
        for number in range(50):
            runtime.ports.events.record_event(WEB, "Issuing", f"message {number}")

        runtime.close()

        assert len(self.listed(client, name="web")) == 50

    def test_what_was_reported_lately_is_not_reported_again_until_its_time(self, client):
        clock = FakeClock(NOW)
        events = KubernetesEvents(client, clock)
        involved = Involved(api_version="v1", kind="ConfigMap", namespace="default", name="shop", uid="u")
        versions = set()
        for _ in range(3):
            events.record(involved, "BadConfig", "wrong", warning=True, again_after=timedelta(hours=1))
            versions.add(meta_of(self.listed(client, name="shop")[0]).resource_version)
        assert len(versions) == 1

        clock.advance(3601)
        events.record(involved, "BadConfig", "wrong", warning=True, again_after=timedelta(hours=1))

        assert [body["count"] for body in self.listed(client, name="shop")] == [2]

    @pytest.mark.parametrize("name", ["n" * 253, f"{'n' * 229}.{'m' * 23}", f"{'n' * 229}-{'m' * 23}"])
    def test_a_long_name_and_a_long_message_are_reported_too(self, client, events, name):
        events.record_event(a_certificate(name=name), "Issuing", "x" * 5_000)

        (body,) = self.listed(client, name=name)
        assert len(body["message"]) == 1024

    def test_one_that_cannot_be_reported_raises_nothing(self, kube, client, events):
        events.record_event(a_certificate(namespace="nowhere"), "Issuing", "message")
        events.record_event(a_certificate(namespace="../x"), "Issuing", "message")
        nobody = connect(kubeconfig=kube.kubeconfig())
        nobody.configuration.host = f"https://127.0.0.1:{free_port()}"
        KubernetesEvents(KubeClient(nobody), FakeClock()).record_event(WEB, "Issuing", "message")

        assert self.listed(client) == []


def test_a_certificate_of_a_request_that_kubectl_applies_over_is_the_manifests(home, client):
    """On the server, where its fields become kubectl's; and by kubectl's own patch, which leaves its
    annotation."""
    body = certificate_document(WEB)
    last_applied = {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}}
    for over in (
        lambda: client.apply(CERTIFICATES, body, manager="kubectl"),
        lambda: client.merge(CERTIFICATES, "default", "web", last_applied),
    ):
        home.request(replace(WEB, dns_names=("asked.example.test",)))
        assert home.certificate(WEB.id).annotations == {CREATED_BY: "request"}

        over()

        assert CREATED_BY not in home.certificate(WEB.id).annotations
        with pytest.raises(InvalidManifest, match="was made by a manifest"):
            home.request(replace(WEB, dns_names=("again.example.test",)))
        home.delete("Certificate", "default", "web")


def test_a_status_and_a_label_of_others_leave_a_certificate_the_requests(home, client):
    home.request(WEB)
    home.write_certificate_status(WEB.id, STATUS)
    client.merge(CERTIFICATES, "default", "web", {"metadata": {"labels": {"team": "shop"}}})

    assert home.request(replace(WEB, dns_names=("asked.example.test",))) == "configured"


class Meanwhile:
    """A client for whom somebody acts right after he has looked at an object."""

    def __init__(self, client, act):
        self._client, self._act = client, act

    def __getattr__(self, name):
        return getattr(self._client, name)

    def get(self, resource, namespace, name):
        found, act = self._client.get(resource, namespace, name), self._act
        self._act = lambda: None
        act()
        return found


def test_what_a_manifest_makes_or_takes_over_meanwhile_is_no_requests(home, client):
    def made():
        client.apply(CERTIFICATES, certificate_document(WEB), manager="kubectl")

    def taken_over():
        last_applied = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
        client.merge(CERTIFICATES, "default", "web", {"metadata": {"annotations": last_applied}})

    for before, act in ((lambda: None, made), (lambda: home.request(WEB), taken_over)):
        before()
        racing = KubernetesHome(
            Meanwhile(client, act), cluster_resource_namespace="cert-manager", clock=SystemClock()
        )

        with pytest.raises(Conflict):
            racing.request(replace(WEB, dns_names=("asked.example.test",)))

        assert home.certificate(WEB.id).dns_names == WEB.dns_names
        home.delete("Certificate", "default", "web")


def test_a_certificate_of_another_group_is_not_changed_by_a_request(home, client):
    body = certificate_document(WEB)
    body["spec"]["issuerRef"] = {"name": "a", "kind": "AWSPCAIssuer", "group": "awspca.cert-manager.io"}
    client.create(CERTIFICATES, body)

    with pytest.raises(
        InvalidManifest, match=r"a request does not change it: .*its issuer is of another API group"
    ):
        home.request(WEB)
