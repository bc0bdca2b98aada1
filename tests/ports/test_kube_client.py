"""The verbs of KubeClient against a real API server, and what it makes of the answers of one in trouble."""

from __future__ import annotations

import contextlib
import json
import re
import time
import traceback
import warnings

import pytest
import structlog
import urllib3
import yaml

from certmill.errors import Conflict, Forbidden, HomeUnavailable, InvalidManifest, NotFound, WatchExpired
from certmill.kube import answers, connection
from certmill.kube.client import KubeClient
from certmill.kube.connection import connect
from certmill.kube.objects import meta_of
from certmill.kube.resources import CERTIFICATES, NAMESPACES, SECRETS, VIRTUAL_SERVERS, Resource
from certmill.testing.faulty_ca import Fault, FaultyCA
from compose.servers.cluster.kubernetes import KubeApiServer
from tests.support.cluster import CRDS, OTHER, client_of, grant, make_namespace

CONFIG_MAPS = Resource(version="v1", plural="configmaps", kind="ConfigMap")
JANE = "jane"
WORKER = "system:serviceaccount:certmill:worker"
TOKEN = "a-token-that-nobody-may-see"


@pytest.fixture(scope="module")
def server(kube_programs, tmp_path_factory):
    """An API server of this module's own: its tests kill it, and leave it running."""
    with KubeApiServer(directory=tmp_path_factory.mktemp("kube"), users={JANE: ()}) as server:
        server.api.install_crds(CRDS)
        grant(server, JANE, [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}])
        grant(server, WORKER, [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}])
        yield server


@pytest.fixture(scope="module")
def client(server):
    return client_of(server)


@pytest.fixture
def space(server, request):
    """A namespace of the test's own."""
    name = f"t{abs(hash(request.node.nodeid)):x}"[:20]
    return make_namespace(server, name)


@pytest.fixture
def faulty():
    """An API server that answers what it is told to."""
    with FaultyCA() as ca:
        yield ca


@pytest.fixture
def client_of_faulty(faulty, tmp_path):
    (tmp_path / "ca.pem").write_bytes(faulty.ca_bundle)
    return KubeClient(api_to(faulty.url, tmp_path / "ca.pem", tmp_path))


def api_to(url, ca_file, directory, user=None):
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url, "certificate-authority": str(ca_file)}}],
        "users": [{"name": "u", "user": user or {"token": TOKEN}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    (directory / "kubeconfig").write_text(json.dumps(config))
    return connect(kubeconfig=directory / "kubeconfig")


def config_map(namespace, name="web", labels=None, **data):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "data": data,
    }


def certificate(namespace, spec):
    metadata = {"name": "web", "namespace": namespace}
    return {"apiVersion": CERTIFICATES.api_version, "kind": "Certificate", "metadata": metadata, "spec": spec}


def names(listing):
    return [meta_of(item).name for item in listing.items]


def events_until(last, watch):
    """The events of a watch but its bookmarks, up to the first of this type: when they come is the server's
    to choose."""
    told = []
    with contextlib.closing(watch):
        for event in watch:
            told += [event] if event.type != "BOOKMARK" else []
            if event.type == last:
                return told
    raise AssertionError(f"no {last} came, but {told}")


class TestReadingAndListing:
    def test_an_object_is_read_and_one_that_is_not_there_is_none(self, client, space):
        client.create(CONFIG_MAPS, config_map(space, a="1"))

        assert client.get(CONFIG_MAPS, space, "web")["data"] == {"a": "1"}
        assert client.get(CONFIG_MAPS, space, "other") is None
        assert client.get(CONFIG_MAPS, "no-such-namespace", "web") is None

    def test_a_long_list_comes_in_pages_and_whole(self, client, space):
        for number in range(7):
            client.create(CONFIG_MAPS, config_map(space, f"n{number}"))

        assert names(client.list(CONFIG_MAPS, space, page=3)) == [f"n{number}" for number in range(7)]
        assert len({page.resource_version for page in client.pages(CONFIG_MAPS, space, page=3)}) == 1

    def test_a_list_is_of_all_namespaces_or_of_one_and_of_labels(self, client, space):
        client.create(CONFIG_MAPS, config_map(space, "red", labels={"colour": "red"}))
        client.create(CONFIG_MAPS, config_map(space, "blue", labels={"colour": "blue"}))

        assert names(client.list(CONFIG_MAPS, space)) == ["blue", "red"]
        assert "red" in names(client.list(CONFIG_MAPS))
        assert names(client.list(CONFIG_MAPS, space, labels="colour=red")) == ["red"]

    def test_metadata_alone_never_carries_data(self, client, space):
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s", "namespace": space},
            "stringData": {"a": "hunter2"},
        }
        client.create(SECRETS, secret)

        (item,) = client.list(SECRETS, space, metadata_only=True).items
        (event,) = events_until(
            "ADDED", client.watch(SECRETS, space, resource_version="0", seconds=60, metadata_only=True)
        )

        for body in (item, event.object):
            assert meta_of(body).name == "s"
            assert body.keys() <= {"kind", "apiVersion", "metadata"}

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../../x", "a%2f.."])
    @pytest.mark.parametrize("call", ["get", "delete", "update", "merge", "apply", "create"])
    def test_no_name_leads_out_of_its_collection(self, client, space, name, call):
        client.create(CONFIG_MAPS, config_map(space))
        body = config_map(space, name)
        calls = {
            "get": lambda: client.get(CONFIG_MAPS, space, name),
            "delete": lambda: client.delete(CONFIG_MAPS, space, name),
            "update": lambda: client.update(CONFIG_MAPS, body),
            "merge": lambda: client.merge(CONFIG_MAPS, space, name, {}),
            "apply": lambda: client.apply(CONFIG_MAPS, body),
            "create": lambda: client.create(CONFIG_MAPS, body),
        }

        with pytest.raises(InvalidManifest):
            calls[call]()

        assert names(client.list(CONFIG_MAPS, space)) == ["web"]
        assert meta_of(client.get(NAMESPACES, "", space)).deleting is False

    def test_an_object_of_a_namespace_needs_one(self, client):
        with pytest.raises(InvalidManifest, match="no namespace"):
            client.delete(CONFIG_MAPS, "", "web")

    def test_a_resource_that_is_not_served_is_no_reason_to_take_an_object_for_deleted(self, client, space):
        with pytest.raises(HomeUnavailable, match="CustomResourceDefinition"):
            client.get(VIRTUAL_SERVERS, space, "web")

        assert client.serves(VIRTUAL_SERVERS) is False
        assert client.serves(CERTIFICATES) is True


class TestWriting:
    def test_what_is_there_already_is_a_conflict(self, client, space):
        client.create(CONFIG_MAPS, config_map(space, a="1"))

        with pytest.raises(Conflict):
            client.create(CONFIG_MAPS, config_map(space, a="2"))
        assert client.get(CONFIG_MAPS, space, "web")["data"] == {"a": "1"}

    def test_without_its_namespace_it_cannot_be_made(self, client):
        with pytest.raises(NotFound, match="nowhere"):
            client.create(CONFIG_MAPS, config_map("nowhere"))
        with pytest.raises(NotFound, match="nowhere"):
            client.apply(CONFIG_MAPS, config_map("nowhere"))

    def test_an_update_of_what_changed_meanwhile_is_a_conflict_and_of_what_is_gone_none(self, client, space):
        first = client.create(CONFIG_MAPS, config_map(space, a="1"))
        second = client.update(CONFIG_MAPS, {**first, "data": {"a": "2"}})

        with pytest.raises(Conflict):
            client.update(CONFIG_MAPS, {**first, "data": {"a": "3"}})
        client.delete(CONFIG_MAPS, space, "web")

        assert second["data"] == {"a": "2"}
        assert client.update(CONFIG_MAPS, {**second, "data": {"a": "4"}}) is None

    def test_a_merge_changes_what_it_names_and_null_removes(self, client, space):
        client.create(CONFIG_MAPS, config_map(space, a="1", b="2"))

        merged = client.merge(CONFIG_MAPS, space, "web", {"data": {"a": None, "c": "3"}})

        assert merged["data"] == {"b": "2", "c": "3"}
        assert client.merge(CONFIG_MAPS, space, "other", {"data": {}}) is None
        with pytest.raises(Conflict):
            client.merge(
                CONFIG_MAPS, space, "web", {"metadata": {"resourceVersion": "1"}, "data": {"a": "1"}}
            )

    def test_an_apply_takes_what_it_names_and_drops_what_it_names_no_more(self, client, space):
        client.apply(CONFIG_MAPS, config_map(space, theirs="1", both="1"), manager=OTHER)
        client.apply(CONFIG_MAPS, config_map(space, both="2", ours="1"))

        after = client.apply(CONFIG_MAPS, config_map(space, more="1"))

        assert after["data"] == {"theirs": "1", "more": "1"}
        managers = {entry["manager"]: entry["operation"] for entry in after["metadata"]["managedFields"]}
        assert managers == {OTHER: "Apply", "certmill": "Apply"}

    def test_an_apply_of_the_same_changes_nothing(self, client, space):
        before = client.apply(CONFIG_MAPS, config_map(space, a="1"))

        assert client.apply(CONFIG_MAPS, config_map(space, a="1")) == before

    @pytest.mark.parametrize(
        ("spec", "field"),
        [
            ({"dnsNames": ["a.example"]}, "spec.secretName"),
            ({"secretName": "web", "issuerRef": {"name": "a"}, "dnsNames": 7}, "spec.dnsNames"),
        ],
    )
    def test_what_the_server_refuses_names_the_field(self, client, space, spec, field):
        for write in (client.create, client.apply):
            with pytest.raises(InvalidManifest, match=re.escape(field)):
                write(CERTIFICATES, certificate(space, spec))

    def test_an_apply_of_a_field_that_there_is_not_is_refused_too(self, client, space):
        with pytest.raises(InvalidManifest, match="colour"):
            client.apply(CERTIFICATES, certificate(space, {"colour": "red"}))

    def test_a_deletion_is_reported_once_and_with_a_uid_only_of_that_very_object(self, client, space):
        first = meta_of(client.create(CONFIG_MAPS, config_map(space)))
        assert client.delete(CONFIG_MAPS, space, "web") is True
        assert client.delete(CONFIG_MAPS, space, "web") is False
        second = meta_of(client.create(CONFIG_MAPS, config_map(space)))

        with pytest.raises(Conflict):
            client.delete(CONFIG_MAPS, space, "web", uid=first.uid)
        assert client.delete(CONFIG_MAPS, space, "web", uid=second.uid) is True

    def test_in_a_namespace_that_is_being_deleted_nothing_can_be_made_whatever_the_roles(self, client, space):
        client.delete(NAMESPACES, "", space)

        for write in (client.create, client.apply):
            with pytest.raises(Forbidden, match="its namespace is being deleted") as caught:
                write(CONFIG_MAPS, config_map(space))
            assert "role" not in str(caught.value)


class TestWatching:
    def test_what_happened_since_a_version_is_reported_in_order_and_the_end_is_quiet(self, client, space):
        version = client.list(CONFIG_MAPS, space).resource_version
        client.create(CONFIG_MAPS, config_map(space))
        client.merge(CONFIG_MAPS, space, "web", {"data": {"a": "1"}})
        client.delete(CONFIG_MAPS, space, "web")

        told = events_until("DELETED", client.watch(CONFIG_MAPS, space, resource_version=version, seconds=60))

        after = meta_of(told[-1].object).resource_version
        assert [event.type for event in told] == ["ADDED", "MODIFIED", "DELETED"]
        assert told[1].object["data"] == {"a": "1"}
        assert {
            event.type for event in client.watch(CONFIG_MAPS, space, resource_version=after, seconds=1)
        } <= {"BOOKMARK"}

    def test_labels_that_do_not_match_any_more_are_a_deletion(self, client, space):
        client.create(CONFIG_MAPS, config_map(space, labels={"ours": "true"}))
        version = client.list(CONFIG_MAPS, space).resource_version
        client.merge(CONFIG_MAPS, space, "web", {"metadata": {"labels": {"ours": None}}})

        events = client.watch(CONFIG_MAPS, space, resource_version=version, seconds=60, labels="ours=true")

        assert [event.type for event in events_until("DELETED", events)] == ["DELETED"]

    def test_a_server_killed_in_the_middle_is_away_and_comes_back_with_roles(self, server, space):
        client = client_of(server, WORKER)
        client.create(CONFIG_MAPS, config_map(space))
        version = client.list(CONFIG_MAPS, space).resource_version
        client.merge(CONFIG_MAPS, space, "web", {"data": {"a": "1"}})
        events = client.watch(CONFIG_MAPS, space, resource_version=version, seconds=60)
        assert next(events).type == "MODIFIED"

        server.kill()
        with pytest.raises(HomeUnavailable, match="cut short: watch configmaps"):
            list(events)
        with pytest.raises(HomeUnavailable, match="does not answer"):
            client.get(CONFIG_MAPS, space, "web")
        server.start()

        # In its first moment a server knows no roles, and refuses everybody: to us it is still away then, and
        # never forbidden.
        assert first_of(lambda: client.get(CONFIG_MAPS, space, "web"))["data"] == {"a": "1"}
        with pytest.raises(WatchExpired):
            first_of(lambda: list(client.watch(CONFIG_MAPS, space, resource_version="1", seconds=2)))


def first_of(call):
    """The first answer of a server that is coming up."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return call()
        except HomeUnavailable:
            if time.monotonic() > deadline:
                raise


class TestRights:
    def test_a_refusal_names_the_missing_right(self, server, space):
        client = client_of(server, JANE)

        with pytest.raises(Forbidden) as caught:
            client.create(CONFIG_MAPS, config_map(space))

        assert (
            f'User "jane" cannot create resource "configmaps" in API group "" in the namespace "{space}"'
            in str(caught.value)
        )
        assert "roles of certmill's chart" in str(caught.value)
        assert client.list(CONFIG_MAPS, space).items == ()

    def test_a_watch_is_refused_likewise(self, server):
        with pytest.raises(Forbidden, match='cannot watch resource "configmaps"'):
            list(client_of(server, JANE).watch(CONFIG_MAPS, resource_version="0", seconds=1))

    def test_a_token_that_counts_no_more_is_waited_for_as_it_is_read_anew(self, server, tmp_path):
        client = KubeClient(api_to(server.url, server.ca_file, tmp_path))

        with pytest.raises(HomeUnavailable, match="refuses our token") as caught:
            client.get(CONFIG_MAPS, "default", "web")

        assert TOKEN not in told(caught.value)


NO_ANSWERS = {
    "500": Fault(status=500),
    "HTML of a proxy": Fault(status=502, body=b"<html>"),
    "a teapot": Fault(status=418),
    "nothing": Fault(cut=True),
    "half of one": Fault(status=200, body=b'{"items": []}', cut=True),
    "less than nothing": Fault(
        status=200, headers={"Transfer-Encoding": "chunked"}, body=b"-5\r\n{}\r\n0\r\n\r\n"
    ),
    "a list": Fault(status=200, body=b"[]"),
    "no JSON": Fault(status=200, body=b"<html>"),
    "brackets without end": Fault(status=200, body=b"[" * 100_000),
    "no such path": Fault(status=404, body=b"404 page not found"),
    "a redirection": Fault(status=302, headers={"Location": "https://elsewhere.example/"}),
}


class TestAnApiServerInTrouble:
    def test_one_that_is_busy_says_when_to_come_again(self, faulty, client_of_faulty):
        faulty.break_with(Fault(status=429, headers={"Retry-After": "7"}))

        with pytest.raises(HomeUnavailable, match="answers 429") as caught:
            client_of_faulty.get(CONFIG_MAPS, "default", "web")

        assert caught.value.retry_after == 7
        assert len(faulty.requests) == 1

    def test_what_is_too_large_for_it_is_no_trouble_that_passes(self, faulty, client_of_faulty):
        faulty.break_with(
            Fault(status=413, body=b'{"kind": "Status", "message": "etcdserver: request is too large"}')
        )

        with pytest.raises(InvalidManifest, match="request is too large"):
            client_of_faulty.get(CONFIG_MAPS, "default", "web")

    @pytest.mark.parametrize("value", ["", "soon", "-1", "1e9", "²", "Wed, 21 Oct 2026 07:28:00 GMT"])
    def test_a_retry_after_that_is_none_is_none(self, faulty, client_of_faulty, value):
        faulty.break_with(
            Fault(status=503, headers={"Retry-After": value.encode("latin-1", "replace").decode("latin-1")})
        )

        with pytest.raises(HomeUnavailable) as caught:
            client_of_faulty.list(CONFIG_MAPS)

        assert caught.value.retry_after is None

    def test_it_cannot_put_us_off_for_a_day(self, faulty, client_of_faulty):
        faulty.break_with(Fault(status=503, headers={"Retry-After": "86400"}))

        with pytest.raises(HomeUnavailable) as caught:
            client_of_faulty.list(CONFIG_MAPS)

        assert caught.value.retry_after == 300

    @pytest.mark.parametrize("fault", NO_ANSWERS)
    def test_an_answer_that_is_none_is_a_server_away(self, faulty, client_of_faulty, fault):
        faulty.break_with(NO_ANSWERS[fault])

        with pytest.raises(HomeUnavailable):
            client_of_faulty.get(CONFIG_MAPS, "default", "web")
        with pytest.raises(HomeUnavailable):
            list(client_of_faulty.watch(CONFIG_MAPS, resource_version="1", seconds=1))

    def test_a_refusal_by_one_that_is_not_ready_is_not_believed(self, faulty, client_of_faulty):
        faulty.break_with(Fault.json({"kind": "Status", "message": "jane may not"}, status=403))

        with pytest.raises(HomeUnavailable, match="jane may not"):
            client_of_faulty.get(CONFIG_MAPS, "default", "web")

    def test_a_refusal_just_before_it_got_ready_is_asked_again(self, faulty, client_of_faulty):
        faulty.break_with(Fault.json({"kind": "ConfigMap"}))
        faulty.break_with(Fault(status=200, body=b"ok"), on="/readyz")
        faulty.break_with(Fault.json({"kind": "Status"}, status=403), on="/configmaps", times=1)

        assert client_of_faulty.get(CONFIG_MAPS, "default", "web") == {"kind": "ConfigMap"}

    @pytest.mark.parametrize(
        "words",
        [
            "exceeded quota: small, requested: configmaps=1, used: configmaps=9, limited: configmaps=9",
            "denied the request: no",
        ],
        ids=["quota", "webhook"],
    )
    def test_what_a_quota_or_a_webhook_refuses_is_no_matter_of_roles(self, faulty, client_of_faulty, words):
        faulty.break_with(
            Fault.json({"kind": "Status", "message": f'configmaps "web" is forbidden: {words}'}, status=403)
        )
        faulty.break_with(Fault(status=200, body=b"ok"), on="/readyz")

        with pytest.raises(Forbidden) as caught:
            client_of_faulty.create(CONFIG_MAPS, config_map("default"))

        assert str(caught.value) == (
            f'cannot create ConfigMap default/web: configmaps "web" is forbidden: {words}; '
            "a quota, a policy or a webhook of the cluster refuses it"
        )

    def test_a_page_that_has_expired_asks_for_a_new_list(self, faulty, client_of_faulty):
        faulty.break_with(Fault.json({"kind": "Status", "reason": "Expired"}, status=410))
        faulty.break_with(Fault.json({"items": [{}], "metadata": {"continue": "x"}}), times=1)

        with pytest.raises(WatchExpired):
            client_of_faulty.list(CONFIG_MAPS)
        assert "continue=x" in faulty.requests[-1][1]

    def test_a_bookmark_is_a_version_to_go_on_from(self, faulty, client_of_faulty):
        bookmark = {
            "type": "BOOKMARK",
            "object": {"kind": "ConfigMap", "metadata": {"resourceVersion": "12"}},
        }
        faulty.break_with(Fault(status=200, body=json.dumps(bookmark).encode() + b"\n"))

        (event,) = client_of_faulty.watch(CONFIG_MAPS, resource_version="1", seconds=1)

        assert (event.type, meta_of(event.object).resource_version) == ("BOOKMARK", "12")
        assert "allowWatchBookmarks=true" in faulty.requests[-1][1]

    @pytest.mark.parametrize(
        ("code", "error"),
        [(410, WatchExpired), (403, Forbidden), (500, HomeUnavailable), ("x", HomeUnavailable)],
    )
    def test_an_error_in_a_watch_is_raised(self, faulty, client_of_faulty, code, error):
        status = {"kind": "Status", "code": code, "message": "too old"}
        faulty.break_with(
            Fault(status=200, body=json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
        )

        with pytest.raises(error):
            list(client_of_faulty.watch(CONFIG_MAPS, resource_version="1", seconds=1))

    def test_an_answer_that_is_too_large_is_refused_and_so_is_an_event(self, faulty, tmp_path):
        (tmp_path / "ca.pem").write_bytes(faulty.ca_bundle)
        small = KubeClient(
            api_to(faulty.url, tmp_path / "ca.pem", tmp_path), max_answer_bytes=1000, max_event_bytes=1000
        )
        faulty.break_with(Fault(status=200, body=b'{"a": "' + b"x" * 100_000))

        with pytest.raises(HomeUnavailable, match="larger than 1000 bytes"):
            small.get(CONFIG_MAPS, "default", "web")
        with pytest.raises(HomeUnavailable, match="larger than 1000 bytes"):
            list(small.watch(CONFIG_MAPS, resource_version="1", seconds=1))

    def test_a_server_that_is_not_ours_is_away(self, faulty, server, tmp_path):
        stranger = KubeClient(api_to(faulty.url, server.ca_file, tmp_path))

        with pytest.raises(HomeUnavailable, match="SSLError"):
            stranger.get(CONFIG_MAPS, "default", "web")
        assert faulty.requests == []


def test_what_the_environment_says_of_proxies_is_read_once_and_not_with_each_request(
    faulty, client_of_faulty, monkeypatch
):
    """While another thread changes the environment, to read it is a KeyError: of that a watch, or whoever
    asked, would die."""
    configuration = client_of_faulty._exchange._configuration
    before = configuration.proxy
    faulty.break_with(Fault.json({"kind": "ConfigMap"}))

    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    client_of_faulty.get(CONFIG_MAPS, "default", "web")

    assert configuration.proxy == before


class TestNothingSecret:
    @pytest.mark.parametrize(
        "fault",
        [Fault(status=500), Fault(cut=True), Fault(status=401), Fault(status=200, body=b"x")],
        ids=["500", "cut", "401", "no JSON"],
    )
    def test_no_token_is_in_an_error(self, faulty, client_of_faulty, fault):
        faulty.break_with(fault)

        with pytest.raises((HomeUnavailable, Forbidden)) as caught:
            client_of_faulty.create(CONFIG_MAPS, config_map("default", password=TOKEN))

        assert TOKEN not in told(caught.value)

    def test_no_token_is_in_a_repr(self, client_of_faulty):
        assert TOKEN not in repr(client_of_faulty) + repr(vars(client_of_faulty))

    def test_a_token_that_cannot_be_read_is_a_server_away(self, faulty, client_of_faulty):
        def refresh(configuration):
            raise FileNotFoundError(f"/var/run/token {TOKEN}")

        client_of_faulty._exchange._configuration.refresh_api_key_hook = refresh

        with pytest.raises(HomeUnavailable, match="token of the service account cannot be read") as caught:
            client_of_faulty.get(CONFIG_MAPS, "default", "web")
        assert TOKEN not in str(caught.value)
        assert faulty.requests == []


def told(error):
    """What a log would have of an error, with its causes."""
    return "".join(traceback.format_exception(error)) + repr(error)


def test_no_address_of_a_server_says_what_to_set(tmp_path, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with pytest.raises(HomeUnavailable, match="CERTMILL_KUBECONFIG"):
        connect(kubeconfig=tmp_path / "none")


def test_the_token_of_a_service_account_is_read_anew_whatever_the_clock_says(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    (tmp_path / "ca.crt").write_text("roots")
    (tmp_path / "token").write_text("first\n")
    now = [0.0]
    api = connect(account=tmp_path, monotonic=lambda: now[0])
    (tmp_path / "token").write_text("second\n")

    def token():
        return api.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")

    assert (api.configuration.host, token()) == ("https://[fd00::1]:443", "Bearer first")
    now[0] = 61.0
    assert token() == "Bearer second"
    (tmp_path / "token").write_text("")
    now[0] = 122.0
    with pytest.raises(HomeUnavailable, match="token of the service account cannot be read"):
        KubeClient(api).get(CONFIG_MAPS, "default", "web")


def test_a_server_that_is_not_verified_is_reported_once_a_process(kube, tmp_path):
    """urllib3 warns at each request: a worker's log had six thousand such lines."""
    config = yaml.safe_load(kube.kubeconfig().read_text())
    config["clusters"][0]["cluster"] = {"server": kube.url, "insecure-skip-tls-verify": True}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    connection._warn_of_insecurity.cache_clear()
    with structlog.testing.capture_logs() as logged, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for client in [KubeClient(connect(kubeconfig=tmp_path / "kubeconfig")) for _ in range(2)]:
            for _ in range(3):
                client.list(NAMESPACES)

    assert [line["event"] for line in logged] == ["kubernetes.insecure"]
    assert "certificate-authority-data" in logged[0]["advice"]
    assert [
        each for each in warned if issubclass(each.category, urllib3.exceptions.InsecureRequestWarning)
    ] == []


def test_status_of_nonsense_is_empty():
    assert answers.status_of(b"\xff") == answers.status_of(b"[" * 100_000) == {}
    assert not answers.is_terminating({"details": {"causes": [None, {"reason": "Other"}]}})


def test_objects_that_are_too_large_for_a_page_are_listed_in_smaller_ones(server, client, space, tmp_path):
    """Nobody's large objects are to keep us from seeing the others."""
    for number in range(20):
        client.create(
            CONFIG_MAPS,
            {"metadata": {"name": f"large-{number}", "namespace": space}, "data": {"x": "x" * 5000}},
        )
    small = client_of(server, max_answer_bytes=20_000)

    names = [meta_of(item).name for item in small.list(CONFIG_MAPS, space).items]

    assert sorted(names) == sorted(f"large-{number}" for number in range(20))
    with pytest.raises(HomeUnavailable, match="larger than 2000 bytes"):
        client_of(server, max_answer_bytes=2000).list(CONFIG_MAPS, space)


def test_what_prevents_a_write_is_named(server, client, space):
    """As cert-manager's webhook without its Pod: every write fails, and an operator has to know why."""
    hook = {
        "name": "webhook.cert-manager.io",
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
        ],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space}},
        "clientConfig": {"url": "https://127.0.0.1:1/validate"},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    path = f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{space}"
    server.api.apply(path, {**kind, "metadata": {"name": space}, "webhooks": [hook]})
    body = {"metadata": {"name": "refused", "namespace": space}}

    def said():
        try:
            client.create(CONFIG_MAPS, body)
        except HomeUnavailable as error:
            return str(error)
        client.delete(CONFIG_MAPS, space, "refused")  # the registration takes a moment
        return ""

    ends = time.monotonic() + 60
    while not (message := said()):
        assert time.monotonic() < ends
        time.sleep(0.1)
    server.api.request("DELETE", path)

    assert 'failed calling webhook "webhook.cert-manager.io"' in message
