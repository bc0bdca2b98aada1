"""The API server and the etcd that tests stand on, and the building of such servers, behave as they say."""

from __future__ import annotations

import shutil
import stat

import pytest
import yaml

from compose.servers import MissingServer
from compose.servers.build import go_build
from compose.servers.cluster.kubernetes import KubeApiServer
from compose.servers.cluster.kubernetes_api import KubernetesApi
from compose.servers.ports import answers
from tests.support.waiting import until

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
ACCOUNT = "system:serviceaccount:certmill:worker"


@pytest.fixture(scope="module")
def server(kube_programs, tmp_path_factory):
    """An API server of this module's own: its tests kill and freeze it, and leave it running."""
    with KubeApiServer(
        directory=tmp_path_factory.mktemp("kube"), users={"jane": ("readers", "writers")}
    ) as server:
        yield server


def api_of(server, user):
    return KubernetesApi(url=server.url, ca_file=server.ca_file, token=server.token(user))


def put(server, name):
    server.api.apply(
        f"{CONFIG_MAPS}/{name}",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}},
    )


def test_an_api_server_keeps_its_url_users_and_objects_over_a_kill(server):
    put(server, "kept")
    before = (server.url, server.admin_token, server.ca_file.read_bytes(), server.token(ACCOUNT))

    server.kill()
    assert not answers(server.port)
    server.start()

    assert (server.url, server.admin_token, server.ca_file.read_bytes(), server.token(ACCOUNT)) == before
    assert server.api.request("GET", f"{CONFIG_MAPS}/kept").body["data"] == {"a": "1"}
    assert api_of(server, ACCOUNT).request("GET", CONFIG_MAPS).status == 403


def test_its_objects_outlive_a_kill_of_etcd_too(server):
    put(server, "written")

    server.etcd.kill()
    server.etcd.start()
    server.kill()
    server.start()

    assert server.api.request("GET", f"{CONFIG_MAPS}/written").is_ok


def test_a_frozen_api_server_is_silent_and_goes_on(server):
    server.freeze()
    assert not KubernetesApi(
        url=server.url, ca_file=server.ca_file, token=server.admin_token, timeout_seconds=0.3
    ).is_ready()
    server.thaw()

    until(server.api.is_ready)


def test_a_service_account_may_do_what_a_role_binding_says_and_nothing_else(server):
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    role = {"kind": "Role", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "reader"}}
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
    worker = api_of(server, ACCOUNT)
    assert worker.request("GET", CONFIG_MAPS).status == 403

    subjects = [{"kind": "ServiceAccount", "namespace": "certmill", "name": "worker"}]
    server.api.apply(f"{rbac}/roles/reader", head | {"kind": "Role", "rules": rules})
    server.api.apply(
        f"{rbac}/rolebindings/reader", head | {"kind": "RoleBinding", "roleRef": role, "subjects": subjects}
    )

    until(lambda: worker.request("GET", CONFIG_MAPS).is_ok, what="a role counts a moment after it is bound")
    assert worker.request("POST", CONFIG_MAPS, {"metadata": {"name": "mine"}}).status == 403
    assert worker.request("GET", "/api/v1/namespaces/default/secrets").status == 403
    who = worker.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}).body["status"][
        "userInfo"
    ]
    assert (who["username"], "system:serviceaccounts:certmill" in who["groups"]) == (ACCOUNT, True)


def test_a_user_has_its_groups(server):
    who = (
        api_of(server, "jane")
        .request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
        .body["status"]["userInfo"]
    )

    assert who["username"] == "jane"
    assert {"readers", "writers"} <= set(who["groups"])


@pytest.mark.parametrize("user", ["john", "system:serviceaccount:certmill", "system:node:a"])
def test_nobody_else_has_a_token(server, user):
    with pytest.raises(KeyError, match="neither among this server's users nor a service account"):
        server.token(user)


def test_a_kubeconfig_is_for_its_owner_only_and_names_user_and_namespace(server):
    path = server.kubeconfig(ACCOUNT, namespace="certmill")

    content = yaml.safe_load(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert content["contexts"][0]["context"] == {"cluster": "test", "user": ACCOUNT, "namespace": "certmill"}
    assert content["clusters"][0]["cluster"] == {
        "server": server.url,
        "certificate-authority": str(server.ca_file),
    }
    assert content["users"] == [{"name": ACCOUNT, "user": {"token": server.token(ACCOUNT)}}]


def test_who_blocks_an_owners_deletion_needs_the_right_to_its_finalizers(server):
    """As in OpenShift, whose admission this is."""
    owner = server.api.request("POST", CONFIG_MAPS, {"metadata": {"generateName": "owner-"}}).body["metadata"]
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": owner["name"],
        "uid": owner["uid"],
        "blockOwnerDeletion": True,
    }
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "writer"}}
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}]
    role = {"kind": "Role", "name": "writer", "apiGroup": "rbac.authorization.k8s.io"}
    subjects = [{"kind": "Group", "name": "writers", "apiGroup": "rbac.authorization.k8s.io"}]
    server.api.apply(f"{rbac}/roles/writer", head | {"kind": "Role", "rules": rules})
    server.api.apply(
        f"{rbac}/rolebindings/writer", head | {"kind": "RoleBinding", "roleRef": role, "subjects": subjects}
    )
    jane, owned = (
        api_of(server, "jane"),
        {"metadata": {"generateName": "owned-", "ownerReferences": [reference]}},
    )
    until(
        lambda: jane.request("POST", CONFIG_MAPS, {"metadata": {"generateName": "free-"}}).is_ok,
        what="she may create",
    )

    refused = jane.request("POST", CONFIG_MAPS, owned)
    rules.append({"apiGroups": [""], "resources": ["configmaps/finalizers"], "verbs": ["update"]})
    server.api.apply(f"{rbac}/roles/writer", head | {"kind": "Role", "rules": rules})

    assert "cannot set blockOwnerDeletion" in refused.message
    until(lambda: jane.request("POST", CONFIG_MAPS, owned).is_ok, what="she may set it")


def test_a_watch_from_before_a_compaction_is_gone(server):
    put(server, "early")
    early = server.api.request("GET", f"{CONFIG_MAPS}/early").body["metadata"]["resourceVersion"]
    put(server, "late")

    server.etcd.compact()
    server.kill()
    server.start()

    answer = server.api.request("GET", f"{CONFIG_MAPS}?watch=true&resourceVersion={early}&timeoutSeconds=1")
    assert answer.status == 410 or answer.body["object"]["code"] == 410


def test_stopping_it_ends_both_processes(kube_programs, tmp_path):
    with KubeApiServer(directory=tmp_path) as server:
        ports = (server.port, server.etcd.port)
        assert all(answers(port) for port in ports)

    assert not any(answers(port) for port in ports)


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A Go module that prints one word, and an empty cache to build it into."""
    if shutil.which("go") is None:
        pytest.skip("Go is not on PATH, and its wheel is too large to fetch for this")
    monkeypatch.setenv("CERTMILL_CACHE", str(tmp_path / "cache"))
    directory = tmp_path / "hello"
    directory.mkdir()
    (directory / "go.mod").write_text("module anything\n\ngo 1.24\n")
    (directory / "go.sum").write_text("")
    (directory / "main.go").write_text('package main\n\nvar word = "none"\n\nfunc main() { println(word) }\n')
    return directory


def test_a_program_is_built_once_and_again_when_its_source_or_variables_change(source, capfd):
    first, again = go_build(source), go_build(source)
    with_word = go_build(source, variables={"main.word": "hello"})
    (source / "main.go").write_text("package main\n\nfunc main() {}\n")
    changed = go_build(source)

    assert first == again
    assert len({first, with_word, changed}) == 3
    assert {path.name for path in (first, with_word, changed)} == {"hello"}
    assert b"hello" in with_word.read_bytes()
    assert capfd.readouterr().err.count("building hello") == 3


def test_a_program_that_does_not_build_is_missing_with_the_compilers_words(source):
    (source / "main.go").write_text("package main\n\nfunc main() { nothing() }\n")

    with pytest.raises(MissingServer, match="undefined: nothing"):
        go_build(source)

    assert not list((source.parent / "cache" / "servers").glob("hello-*"))
