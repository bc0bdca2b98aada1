"""What an upgrade of the chart restarts and leaves alone, who owns the number of Pods, Valkey's image, `helm
test`, and the image."""

from __future__ import annotations

import base64
import io
import os
import re
import secrets
import subprocess
import sys
import tarfile
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from compose import render
from compose.servers import ServerFailed
from compose.servers.cluster.helm import helm
from tests.support.chart import HIGHLY_AVAILABLE, containers, environment, listed, named, pods, rendered
from tests.support.releases import BEFORE_THE_CODEC

ROOT = Path(__file__).resolve().parents[2]
OTHER_KEY = base64.b64encode(b"n" * 32).decode()

pytestmark = pytest.mark.usefixtures("helm_program")


def a_name():
    """Of a release of its own: other tests leave cluster-wide roles of "certmill" on the server."""
    return f"certmill-{secrets.token_hex(3)}"


class Release:
    """A release on the API server, and the Pod templates that it has there."""

    def __init__(self, kube, namespace) -> None:
        self._kube, self._namespace, self._kubeconfig = kube, namespace, kube.kubeconfig()
        self._name = a_name()

    def install(self, *options, chart=render.CHART):
        self._helm("install", *options, chart=chart)
        return self._templates()

    def upgrade(self, *options):
        before = self._templates()
        # The install has checked the objects by the server's schemas; to read these is half of Helm's CPU.
        self._helm("upgrade", "--disable-openapi-validation", *options)
        return {
            component for component, template in self._templates().items() if template != before[component]
        }

    def secret(self):
        body = self._kube.api.request(
            "GET", f"/api/v1/namespaces/{self._namespace}/secrets/{self._name}"
        ).body
        return {key: base64.b64decode(value).decode() for key, value in body["data"].items()}

    def put(self, plural, name, **content):
        kind = {"secrets": "Secret", "configmaps": "ConfigMap"}[plural]
        field = "stringData" if kind == "Secret" else "data"
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, field: content}
        self._kube.api.apply(f"/api/v1/namespaces/{self._namespace}/{plural}/{name}", body)

    def uninstall(self):
        helm("uninstall", self._name, "--namespace", self._namespace, kubeconfig=self._kubeconfig)

    def _helm(self, verb, *options, chart=render.CHART):
        helm(verb, self._name, chart, "--namespace", self._namespace, *options, kubeconfig=self._kubeconfig)

    def _templates(self):
        found = {}
        for plural in ("deployments", "statefulsets"):
            path = f"/apis/apps/v1/namespaces/{self._namespace}/{plural}"
            for one in self._kube.api.request("GET", path).body["items"]:
                found[one["metadata"]["labels"]["app.kubernetes.io/component"]] = one["spec"]["template"]
        return found


@pytest.fixture
def release(kube, namespace):
    release = Release(kube, namespace)
    yield release
    release.uninstall()


def test_an_upgrade_replaces_just_the_pods_whose_secret_has_changed(release):
    release.install()
    old = release.secret()["seal-keys"]

    assert release.upgrade() == set()
    assert release.upgrade("--set", "secret.flowerPassword=mine") == {"flower"}
    assert release.upgrade("--set", f"secret.flowerPassword=mine,secret.sealKeys={old}\\,{OTHER_KEY}") == {
        "worker"
    }
    assert release.upgrade("--set", f"secret.flowerPassword=mine,secret.sealKeys={OTHER_KEY}\\,{old}") == {
        "worker"
    }
    assert release.upgrade("--set", "secret.flowerPassword=mine,valkey.maxmemory=100mb") == {"valkey"}


def test_the_upgrade_in_the_docs_leads_from_the_previous_chart_and_keeps_values(release, tmp_path):
    archive = subprocess.run(
        ["git", "archive", BEFORE_THE_CODEC, "compose/chart"], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip(
            f"this clone does not have the release {BEFORE_THE_CODEC}: {archive.stderr.decode().strip()}"
        )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(tmp_path, filter="data")
    texts = [(ROOT / file).read_text() for file in ("compose/chart/README.md", "docs/alerts.md")]
    said = [
        re.findall(r"^helm upgrade .*--namespace cert-manager (--\S+)", text, re.MULTILINE) for text in texts
    ]
    release.install("--set", "secret.flowerPassword=mine", chart=tmp_path / "compose" / "chart")

    release.upgrade(*said[0])

    assert said == [["--reset-then-reuse-values"]] * 2
    assert release.secret()["flower-password"] == "mine"


def test_a_secret_that_others_made_is_read_at_each_upgrade(release):
    url, acl = "redis://certmill:one@elsewhere:6379/0", "user default off"
    release.put("secrets", "mine", **{"seal-keys": OTHER_KEY, "flower-password": "one", "users.acl": acl})
    release.put("secrets", "redis", url=url)
    release.put("configmaps", "roots", **{"ca.crt": "one"})
    options = (
        "--set",
        "secret.existing=mine,redis.existingSecret=redis,redis.existingSecretKey=url,redis.caConfigMap=roots",
    )
    release.install(*options)
    everyone = {"controller", "worker", "beat", "responder", "flower"}

    assert release.upgrade(*options) == set()
    release.put("secrets", "mine", **{"seal-keys": OTHER_KEY, "flower-password": "two", "users.acl": acl})
    assert release.upgrade(*options) == {"flower"}
    release.put("secrets", "redis", url=url.replace("one", "two"))
    assert release.upgrade(*options) == everyone
    release.put("configmaps", "roots", **{"ca.crt": "two"})
    assert release.upgrade(*options) == everyone


def test_the_lease_is_named_by_the_release_and_the_role_is_for_that_name(tmp_path):
    for name in ("certmill", "edge"):
        objects = rendered(tmp_path, listed("shop"), release=name)
        full = "certmill" if name == "certmill" else "edge-certmill"
        lease = environment(containers(objects)["controller"])["CERTMILL_LEASE_NAME"]
        own = named(objects, "Role", f"{full}-controller-own")

        assert lease == f"{full}-controller"
        assert [
            rule["resourceNames"]
            for rule in own["rules"]
            if rule["resources"] == ["leases"] and "resourceNames" in rule
        ] == [[lease]]


def test_with_autoscaling_the_autoscaler_alone_owns_the_number_of_pods(tmp_path):
    objects = rendered(tmp_path, HIGHLY_AVAILABLE)
    (scaler,) = (one for one in objects if one["kind"] == "HorizontalPodAutoscaler")

    assert "replicas" not in named(objects, "Deployment", "certmill-worker")["spec"]
    assert named(objects, "Deployment", "certmill-responder")["spec"]["replicas"] == 2
    assert scaler["spec"]["scaleTargetRef"]["name"] == "certmill-worker"
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (3, 10)
    assert named(objects, "PodDisruptionBudget", "certmill-worker")


def test_valkey_may_have_an_image_of_its_own(tmp_path):
    image = {"repository": "registry.example/valkey", "tag": "9.0"}
    own = rendered(tmp_path, {"valkey": {"image": image}})
    pinned = rendered(tmp_path, {"valkey": {"image": {**image, "digest": f"sha256:{'1' * 64}"}}})

    assert containers(own)["valkey"]["image"] == "registry.example/valkey:9.0"
    assert containers(pinned)["valkey"]["image"] == f"registry.example/valkey@sha256:{'1' * 64}"
    assert "valkey-cli" in str(containers(own)["valkey"]["livenessProbe"])
    assert {
        container["image"] for component, container in containers(own).items() if component != "valkey"
    } == {"certmill:0.1.0"}
    with pytest.raises(ServerFailed, match=re.escape("valkey.image.tag or .digest")):
        rendered(tmp_path, {"valkey": {"image": {"repository": "registry.example/valkey"}}})


class Healthy(BaseHTTPRequestHandler):
    """Answers as the responder's /healthz and Flower's /healthcheck do."""

    def do_GET(self):
        self.send_response(200 if self.path in ("/healthz", "/healthcheck") else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_helm_test_fails_where_something_cannot_be_reached(tmp_path, redis_server):
    """The test Pod's own program, with the addresses of servers on this machine."""
    (pod,) = (one for one in rendered(tmp_path, {}) if one["kind"] == "Pod")
    container = pod["spec"]["containers"][0]
    (tmp_path / "redis-url").write_text(redis_server.url)
    variables = {
        name: value.replace("/etc/certmill/secrets", str(tmp_path))
        for name, value in environment(container).items()
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    Thread(target=server.serve_forever, daemon=True).start()

    def run(*, path=""):
        urls = [
            re.sub(r"//[^/]*", f"//127.0.0.1:{server.server_port}", one) + path
            for one in container["args"][1:]
        ]
        command = [sys.executable, "-c", container["args"][0], *urls]
        return subprocess.run(
            command,
            env={**os.environ, **variables},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    try:
        well, missing = run(), run(path="/missing")
        (tmp_path / "redis-url").write_text("redis://127.0.0.1:1/0")
        away = run()
    finally:
        server.shutdown()
        server.server_close()

    assert (well.returncode, well.stdout.count("200")) == (0, 2), well.stderr
    assert missing.returncode != 0
    assert away.returncode != 0
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"


def test_a_network_policy_that_names_who_may_come_lets_helm_test_in(tmp_path):
    ingress = {"namespaceSelector": {"matchLabels": {"name": "ingress"}}}
    policy = {"enabled": True, "responderFrom": [ingress], "flowerFrom": [ingress]}
    objects = rendered(tmp_path, {"networkPolicy": policy})
    (pod,) = (one for one in objects if one["kind"] == "Pod")

    for process in ("responder", "flower"):
        first, test = named(objects, "NetworkPolicy", f"certmill-{process}")["spec"]["ingress"][0]["from"]
        assert first == ingress
        assert test["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert test["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test"
    closed = rendered(tmp_path, {"networkPolicy": policy, "tests": {"enabled": False}})
    assert named(closed, "NetworkPolicy", "certmill-flower")["spec"]["ingress"][0]["from"] == [ingress]


def test_the_notes_say_what_to_read_and_what_is_for_trying_out(kube, namespace):
    options, name = ("--namespace", namespace, "--dry-run=server", "--set"), a_name()
    plain = helm(
        "install", name, render.CHART, *options, "networkPolicy.enabled=true", kubeconfig=kube.kubeconfig()
    )
    own = "valkey.image.repository=valkey,valkey.image.tag=9.0,valkey.persistence.enabled=false"
    other = helm("install", name, render.CHART, *options, own, kubeconfig=kube.kubeconfig())

    assert f"helm test {name}" in plain
    assert "kubectl logs" in plain
    assert "which is for trying out" in plain
    assert "which is for trying out" not in other
    assert "valkey.persistence is off" in other
    assert "networkPolicy is off" in other
    assert "may read /metrics on port 9402" in other


def test_artifact_hub_lists_the_crds_and_examples_that_the_api_takes():
    annotations = yaml.safe_load((render.CHART / "Chart.yaml").read_text())["annotations"]
    crds = {
        yaml.safe_load(file.read_text())["metadata"]["name"]
        for file in (render.CHART / "crds").glob("*.yaml")
    }

    assert {one["name"] for one in yaml.safe_load(annotations["artifacthub.io/crds"])} == crds
    assert {one["kind"] for one in yaml.safe_load(annotations["artifacthub.io/crdsExamples"])} == {
        "ClusterIssuer",
        "Certificate",
    }
    assert annotations["artifacthub.io/license"] == "Apache-2.0"


def test_the_image_is_built_from_pinned_bases_and_says_what_it_is():
    text = (ROOT / "compose" / "Dockerfile").read_text()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    uv = re.findall(r"uv==([\d.]+)", text)

    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${PYTHON}", "${PYTHON}"]
    assert re.search(r"^ARG PYTHON=python:3\.\d+-slim@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert uv == re.findall(r"^UV_VERSION = ([\d.]+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"title", "licenses", "version", "revision"} <= set(
        re.findall(r"org\.opencontainers\.image\.(\w+)=", text)
    )
    assert f"ARG VERSION={version}" in text


def test_every_value_of_the_readme_is_one_of_the_charts():
    values = yaml.safe_load((render.CHART / "values.yaml").read_text())
    rows = re.findall(r"^\| (`.+?) \|", (render.CHART / "README.md").read_text(), re.MULTILINE)

    for name in {name for row in rows for name in re.findall(r"`([a-zA-Z][\w.]*)`", row)}:
        found = values
        for part in name.split("."):
            assert part in found, name
            found = found[part]
    assert len(rows) > 5
    assert pods(render.objects())
