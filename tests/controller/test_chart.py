"""The chart as Helm renders and installs it, and the same as plain YAML."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
import redis
import yaml

from certmill.crypto.seal import Seal
from certmill.errors import InvalidManifest
from certmill.home.seal_keys import seal_keys
from certmill.settings import Settings
from certmill.settings import load as load_settings
from compose import render
from compose.servers import ServerFailed
from compose.servers.cluster.helm import helm
from compose.servers.ports import free_port
from compose.servers.process import ServerProcess
from compose.servers.redis import find_redis
from tests.support.chart import (
    HIGHLY_AVAILABLE,
    containers,
    environment,
    listed,
    named,
    pods,
    rendered,
    try_to_create,
)
from tests.support.cluster import make_namespace
from workers.supervisor.embedded import bundled_valkey

ROOT = Path(__file__).resolve().parents[2]
OPENSHIFT = ("--api-versions", "security.openshift.io/v1")

pytestmark = pytest.mark.usefixtures("helm_program")


@pytest.fixture(
    scope="module", params=["default", "some namespaces and an external Redis", "OpenShift, highly available"]
)
def chart(request, helm_program, tmp_path_factory):
    """The chart's objects, with each of three sets of values."""
    directory = tmp_path_factory.mktemp("chart")
    values, options = {
        "default": ({}, ()),
        "some namespaces and an external Redis": (listed("shop", "blog"), ()),
        "OpenShift, highly available": (HIGHLY_AVAILABLE, OPENSHIFT),
    }[request.param]
    return rendered(directory, values, *options)


@pytest.fixture
def default(tmp_path):
    return rendered(tmp_path, {})


def test_helm_finds_no_fault_in_the_chart():
    assert "0 chart(s) failed" in helm("lint", "--strict", render.CHART)


def test_the_api_server_takes_every_object_with_no_field_that_it_does_not_know(kube, chart):
    for namespace in {one["metadata"]["namespace"] for one in chart if "namespace" in one["metadata"]}:
        make_namespace(kube, namespace)

    refused = {
        (one["kind"], one["metadata"]["name"]): answer
        for one in chart
        if not (answer := try_to_create(kube, one)).is_ok
    }

    assert refused == {}
    assert len(chart) > 15


def test_every_object_has_labels_and_a_namespace(chart):
    for one in chart:
        assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == "certmill"
        assert ("namespace" in one["metadata"]) == (not one["kind"].startswith("Cluster"))


def test_every_container_is_what_pod_security_calls_restricted_and_runs_as_any_user(chart):
    for template in pods(chart).values():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert not any("hostPath" in volume for volume in spec["volumes"])
        for container in [*spec["containers"], *spec.get("initContainers", ())]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        assert "runAsUser" not in json.dumps(template)


def test_on_openshift_no_group_is_fixed_either(tmp_path, default):
    openshift = rendered(tmp_path, {}, *OPENSHIFT)

    assert pods(default)["valkey"]["spec"]["securityContext"]["fsGroup"] == 10001
    assert "fsGroup" not in json.dumps(openshift)


def test_what_is_written_goes_to_volumes(chart):
    for component, container in containers(chart).items():
        writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        assert writable == ({"/data", "/tmp"} if component == "valkey" else {"/var/run/certmill", "/tmp"})


def test_every_container_has_probes_and_resources(chart):
    for container in containers(chart).values():
        assert {"startupProbe", "livenessProbe"} <= set(container)
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]


def test_what_every_cluster_has_of_its_own_reaches_each_pod(tmp_path, default):
    objects = rendered(tmp_path, HIGHLY_AVAILABLE)

    assert all(one["metadata"]["labels"]["cost-centre"] == "edge" for one in objects)
    for component, template in pods(objects).items():
        spec = template["spec"]
        assert template["metadata"]["labels"].items() >= {"cost-centre": "edge", "team": "edge"}.items()
        assert (spec["runtimeClassName"], spec["dnsPolicy"]) == ("sandbox", "None")
        assert spec["dnsConfig"] == {"nameservers": ["192.0.2.53"]}
        assert spec["hostAliases"][0]["hostnames"] == ["ca.internal"]
        mounted = {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
        assert ("/etc/roots" in mounted) == (component != "valkey")
    strategies = {
        one["metadata"]["name"]: one["spec"].get("strategy") for one in objects if one["kind"] == "Deployment"
    }
    assert {name for name, strategy in strategies.items() if strategy} == {"certmill-controller"}
    assert all(
        template["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
        for template in pods(default).values()
    )
    assert not any(
        "cost-centre" in selector for selector in re.findall(r"'matchLabels': \{[^}]*\}", str(objects))
    )


def test_only_controller_and_worker_have_a_token_of_the_api_server(chart):
    with_token = {
        component
        for component, template in pods(chart).items()
        if template["spec"]["automountServiceAccountToken"]
    }
    accounts = {template["spec"]["serviceAccountName"] for template in pods(chart).values()}

    assert with_token == {"controller", "worker"}
    assert len(accounts) == len(pods(chart))
    assert all(
        one["automountServiceAccountToken"] is False for one in chart if one["kind"] == "ServiceAccount"
    )


def test_each_process_sees_the_secrets_it_needs_and_no_other(default):
    seen = {}
    for component, template in pods(default).items():
        sources = [
            source["secret"]
            for volume in template["spec"]["volumes"]
            for source in volume.get("projected", {}).get("sources", ())
        ]
        sources += [volume["secret"] for volume in template["spec"]["volumes"] if "secret" in volume]
        seen[component] = {item["key"] for source in sources for item in source["items"]}

    assert seen == {
        "controller": {"redis-url"},
        "worker": {"redis-url", "seal-keys"},
        "beat": {"redis-url"},
        "responder": {"redis-url"},
        "flower": {"redis-url", "flower-password"},
        "valkey": {"users.acl"},
    }


def test_every_setting_of_the_chart_is_one_of_certmills(chart):
    known = {f"CERTMILL_{name.upper()}" for name in Settings.model_fields}
    used = {
        name
        for container in containers(chart).values()
        for name in environment(container)
        if name.startswith("CERTMILL_")
    }

    assert {name for name in used if name not in known and name.removesuffix("_FILE") not in known} == set()


def test_every_process_starts_with_the_settings_that_the_chart_gives_it(chart, tmp_path, monkeypatch):
    secrets = {
        "redis-url": "redis://certmill:pw@valkey:6379/0",
        "seal-keys": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    }
    for name, content in {**secrets, "flower-password": "pw"}.items():
        (tmp_path / name).write_text(content)

    for component in containers(chart).keys() - {"valkey"}:
        with monkeypatch.context() as patched:
            for name, value in environment(containers(chart)[component]).items():
                patched.setenv(name, value.replace("/etc/certmill/secrets", str(tmp_path)))
            settings = load_settings()

        assert settings.redis_url.get_secret_value() == secrets["redis-url"]
        assert settings.log_format == "json"
        assert (settings.home_kind == "kubernetes") == (component in ("controller", "worker"))
        assert component == "flower" or (settings.admin_host, settings.admin_port) == ("0.0.0.0", 9402)
        assert bool(settings.seal_keys) == (component == "worker")


def test_the_controller_watches_the_namespaces_of_the_list(tmp_path, default):
    some = rendered(tmp_path, listed("shop", "blog"))

    assert environment(containers(some)["controller"])["CERTMILL_WATCHED_NAMESPACES"] == "shop,blog"
    assert "CERTMILL_WATCHED_NAMESPACES" not in environment(containers(default)["controller"])


def test_the_worker_finds_the_responder_by_the_name_and_port_of_its_service(chart):
    worker = environment(containers(chart)["worker"])
    service = named(chart, "Service", worker["CERTMILL_RESPONDER_SERVICE"])
    responder = containers(chart)["responder"]

    assert service["spec"]["selector"].items() <= pods(chart)["responder"]["metadata"]["labels"].items()
    assert (
        service["spec"]["ports"][0]["port"]
        == int(worker["CERTMILL_RESPONDER_PORT"])
        == responder["ports"][0]["containerPort"]
    )
    assert service["spec"]["type"] == "ClusterIP"


def test_a_service_gives_no_process_an_environment(chart):
    """certmill-responder's link would be CERTMILL_RESPONDER_PORT=tcp://…, which no process would start
    with."""
    assert all(template["spec"]["enableServiceLinks"] is False for template in pods(chart).values())


def test_a_worker_has_45_seconds_to_end_the_step_it_is_in(chart):
    assert pods(chart)["worker"]["spec"]["terminationGracePeriodSeconds"] == 45


def test_a_pod_disruption_budget_exists_only_for_processes_with_several_replicas(tmp_path, default):
    several = rendered(tmp_path, HIGHLY_AVAILABLE)
    budgets = {one["metadata"]["name"] for one in several if one["kind"] == "PodDisruptionBudget"}

    assert budgets == {f"certmill-{component}" for component in ("controller", "worker", "beat", "responder")}
    assert not any(one["kind"] == "PodDisruptionBudget" for one in default)


def test_what_a_process_has_of_its_own_wins_over_the_defaults(tmp_path):
    values = {
        "defaults": {"nodeSelector": {"pool": "edge"}, "replicas": 2},
        "worker": {"nodeSelector": {"pool": "big"}, "replicas": 3},
    }

    objects = rendered(tmp_path, values)

    assert pods(objects)["worker"]["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "big"}
    assert pods(objects)["valkey"]["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "edge"}
    assert named(objects, "Deployment", "certmill-worker")["spec"]["replicas"] == 3


def test_an_external_redis_leaves_no_valkey_and_its_password_in_its_own_secret(tmp_path):
    some = rendered(tmp_path, listed("shop"))
    sources = pods(some)["worker"]["spec"]["volumes"][2]["projected"]["sources"]

    assert not any("valkey" in one["metadata"]["name"] for one in some)
    assert sources[0]["secret"] == {"name": "redis", "items": [{"key": "url", "path": "redis-url"}]}
    assert set(named(some, "Secret", "certmill")["data"]) == {"seal-keys"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"crds": {"enabled": False}}, "use --skip-crds"),
        (
            {"secret": {"existing": "mine"}, "redis": {"url": "redis://elsewhere/0"}},
            "name it as redis.existingSecret",
        ),
        ({"secret": {"sealKeys": "too short"}}, "sealKeys"),
        ({"namespaces": "shop"}, "namespaces"),
        ({"replicaCount": 2}, "replicaCount"),
        ({"worker": {"replicaCount": 2}}, "replicaCount"),
        ({"redis": {"url": "http://elsewhere"}}, "redis"),
    ],
    ids=lambda given: json.dumps(given) if isinstance(given, dict) else given,
)
def test_values_that_mean_nothing_are_refused(tmp_path, values, said):
    with pytest.raises(ServerFailed, match=said):
        rendered(tmp_path, values)


def test_every_value_is_documented_and_in_the_schema():
    """A comment above or beside it, or above what it is in."""
    lines = (render.CHART / "values.yaml").read_text().splitlines()
    schema = json.loads((render.CHART / "values.schema.json").read_text())
    for name in yaml.safe_load("\n".join(lines)):
        place = next(number for number, line in enumerate(lines) if line.startswith(f"{name}:"))
        around = lines[place - 1 : place + 2]
        assert any(line.strip().startswith("#") for line in around) or name == "fullnameOverride", name
        assert name in schema["properties"]


def test_the_seal_key_that_is_made_is_one(default):
    (key,) = seal_keys(
        load_settings(
            seal_keys=base64.b64decode(named(default, "Secret", "certmill")["data"]["seal-keys"]).decode()
        )
    )
    sealed = Seal([key]).seal(b"a private key", context="test")

    assert Seal([key]).open(sealed, context="test") == b"a private key"


def test_the_plain_yaml_is_what_helm_renders():
    assert render.PLAIN.read_text() == render.plain_yaml(), "run: make chart"


def test_the_plain_yaml_has_no_secret_in_it_and_says_how_to_make_one(default):
    plain = render.PLAIN.read_text()
    objects = [one for one in yaml.safe_load_all(plain) if one]
    wanted = {
        item
        for component in pods(objects).values()
        for item in re.findall(r"'key': '([a-z.-]+)'", str(component))
    }

    assert not any(one["kind"] == "Secret" for one in objects)
    assert {(one["kind"], one["metadata"]["name"]) for one in objects} == {
        (one["kind"], one["metadata"]["name"])
        for one in default
        if one["kind"] not in ("Secret", "Pod")  # the Pod of `helm test`
    }
    assert wanted == {"redis-url", "seal-keys", "flower-password", "users.acl"}
    assert all(f"--from-literal={key}=" in plain for key in wanted)
    users = base64.b64decode(named(default, "Secret", "certmill")["data"]["users.acl"]).decode()
    assert re.sub(r"#[0-9a-f]{64}", ">$password", users).strip() in plain.replace("\n#   ", "\n")


def test_an_upgrade_keeps_passwords_and_keys_and_leaves_the_crds_alone(kube, namespace):
    """As `helm install`, `helm upgrade` and `helm uninstall` do it, on a cluster that has CRDs of these
    names."""
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    before = {
        one["metadata"]["name"]: one["metadata"]["resourceVersion"]
        for one in kube.api.request("GET", crds).body["items"]
    }
    secret = f"/api/v1/namespaces/{namespace}/secrets/certmill"
    kubeconfig = kube.kubeconfig()

    helm("install", "certmill", render.CHART, "--namespace", namespace, kubeconfig=kubeconfig)
    made = kube.api.request("GET", secret).body["data"]
    helm(
        "upgrade",
        "certmill",
        render.CHART,
        "--namespace",
        namespace,
        "--set",
        "worker.replicas=2",
        kubeconfig=kubeconfig,
    )
    kept = kube.api.request("GET", secret).body["data"]
    helm(
        "upgrade",
        "certmill",
        render.CHART,
        "--namespace",
        namespace,
        "--set",
        "secret.flowerPassword=mine",
        kubeconfig=kubeconfig,
    )
    given = kube.api.request("GET", secret).body["data"]
    helm("uninstall", "certmill", "--namespace", namespace, kubeconfig=kubeconfig)

    assert made == kept
    assert base64.b64decode(given["flower-password"]) == b"mine"
    assert given["seal-keys"] == made["seal-keys"]
    after = {
        one["metadata"]["name"]: one["metadata"]["resourceVersion"]
        for one in kube.api.request("GET", crds).body["items"]
    }
    assert before == after
    assert kube.api.request("GET", secret).status == 404


class Valkey:
    """The chart's Valkey with its own configuration and users, on a port of this machine."""

    def __init__(self, directory: Path, objects: list[dict[str, object]]) -> None:
        secret = {
            name: base64.b64decode(value).decode()
            for name, value in named(objects, "Secret", "certmill")["data"].items()
        }
        self.port = free_port()
        self.url = secret["redis-url"].replace("certmill-valkey:6379", f"127.0.0.1:{self.port}")
        (directory / "users.acl").write_text(secret["users.acl"] + "user observer on nopass ~* &* +@all\n")
        configuration = named(objects, "ConfigMap", "certmill-valkey")["data"]["valkey.conf"]
        for there, here in {
            "/etc/certmill/users": str(directory),
            "dir /data": f"dir {directory}",
            "bind * -::*": "bind 127.0.0.1",
            "port 6379": f"port {self.port}",
        }.items():
            assert configuration.count(there) == 1
            configuration = configuration.replace(there, here)
        (directory / "valkey.conf").write_text(configuration)
        self._process = ServerProcess("valkey", log=directory / "valkey.log")
        self._process.start(
            [bundled_valkey() or find_redis(), directory / "valkey.conf"], answers=self._answers
        )

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

    def observer(self) -> redis.Redis:
        return redis.Redis(port=self.port, username="observer", password="any")

    def stop(self) -> None:
        self._process.stop()


@pytest.fixture
def valkey(tmp_path, default):
    server = Valkey(tmp_path, default)
    yield server
    server.stop()


def test_valkey_evicts_nothing_and_keeps_a_log(valkey):
    with valkey.observer() as client:
        settings = client.config_get("maxmemory-policy", "appendonly", "appendfsync", "maxmemory")

    assert settings == {
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory": "209715200",
    }


def test_valkey_lets_nobody_in_without_a_password(valkey):
    with redis.Redis(port=valkey.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with (
        redis.Redis(port=valkey.port, username="certmill", password="guessed") as guess,
        pytest.raises(redis.AuthenticationError),
    ):
        guess.ping()


def test_certmills_own_user_can_do_nothing_to_the_server(valkey):
    with redis.Redis.from_url(valkey.url) as client:
        for command in (
            ("CONFIG", "SET", "dir", "/tmp"),
            ("FLUSHALL",),
            ("REPLICAOF", "192.0.2.1", "6379"),
            ("ACL", "LIST"),
            ("SHUTDOWN",),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)


def test_no_command_of_certmills_records_is_out_of_its_users_reach(valkey):
    state = ROOT / "certmill" / "state"
    in_scripts = {
        name
        for script in state.glob("*.lua")
        for name in re.findall(r"redis\.call\(['\"]([A-Za-z]+)", script.read_text())
    }
    called = {
        name
        for module in state.glob("*.py")
        for name in re.findall(r"(?:redis|pipe|client)\.([a-z]+)\(", module.read_text())
    }
    with valkey.observer() as client:
        known = {name.upper(): about for name, about in client.command().items()}
        commands = {name.upper() for name in in_scripts | called} & known.keys() | {
            "EVALSHA",
            "SCRIPT",
            "MULTI",
            "EXEC",
            "BRPOP",
            "PUBLISH",
        }
        refused = {
            name
            for name in commands
            if {"@admin", "@dangerous"} & {str(category) for category in known[name]["acl_categories"]}
        }

    assert len(in_scripts) > 10
    assert refused == set()


def test_celery_works_with_the_rights_of_its_redis_user(valkey, tmp_path):
    from tests.support.processes import Processes
    from tests.support.waiting import until

    directory = tmp_path / "celery"
    directory.mkdir()
    processes = Processes(valkey, directory)
    try:
        processes.worker()
        processes.start("celery", "-A", "probe_app", "beat", log="beat.log")

        def ticked():
            with valkey.observer() as client:
                return int(client.llen("ran"))

        until(ticked, what=lambda: processes.log() + processes.log("beat.log"))
    finally:
        processes.stop()
    with valkey.observer() as client:
        assert client.acl_log() == []


def test_a_wrong_seal_key_would_be_named():
    with pytest.raises(InvalidManifest, match="CERTMILL_SEAL_KEYS"):
        seal_keys(load_settings(seal_keys="not base64!"))


def test_the_image_has_what_the_chart_starts_and_is_not_roots(default):
    """No container engine is needed to see this much."""
    text = (ROOT / "compose" / "Dockerfile").read_text()
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for source in line.split()[:-1]
    }
    allowed = set((ROOT / "compose" / "Dockerfile.dockerignore").read_text().splitlines())

    assert all((ROOT / source).exists() and f"!{source}" in allowed for source in copied)
    assert {"certmill", "tasks", "schedules", "workers"} <= copied
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["10001:0"]
    assert {container["command"][0] for container in containers(default).values()} == {
        "python",
        "celery",
        "valkey-server",
    }
    assert "/opt/certmill/bin/valkey-server" in text
