"""The chart, rendered with three sets of values, and installed on an API server with its own roles."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from compose import render
from compose.render import Json
from compose.servers.cluster.kubernetes import SERVICE_ACCOUNT, KubeApiServer
from compose.servers.cluster.kubernetes_api import Answer, KubernetesApi
from tests.support.cluster import is_allowed
from tests.support.waiting import until

PLURALS = {"NetworkPolicy": "networkpolicies"}
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding"}
RIGHTS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
HIGHLY_AVAILABLE: Json = {
    "image": {"repository": "registry.example/certmill", "digest": f"sha256:{'0' * 64}"},
    "imagePullSecrets": [{"name": "registry"}],
    "commonLabels": {"cost-centre": "edge"},
    "clusterResourceNamespace": "default",
    "settings": {"recursive_nameservers": "192.0.2.53:53", "propagation_timeout_seconds": 300},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
    "secret": {"sealKeys": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "flowerPassword": "open sesame"},
    "valkey": {
        "persistence": {"storageClassName": "fast", "size": "2Gi"},
        "maxmemory": "256mb",
        "nodeSelector": {"disk": "ssd"},
    },
    "defaults": {
        "replicas": 2,
        "podAnnotations": {"example.com/team": "edge"},
        "podLabels": {"team": "edge"},
        "tolerations": [{"key": "edge", "operator": "Exists"}],
        "runtimeClassName": "sandbox",
        "hostAliases": [{"ip": "192.0.2.9", "hostnames": ["ca.internal"]}],
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["192.0.2.53"]},
        "volumes": [{"name": "roots", "configMap": {"name": "roots"}}],
        "volumeMounts": [{"name": "roots", "mountPath": "/etc/roots", "readOnly": True}],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "certmill"}},
            }
        ],
    },
    "controller": {"replicas": 2, "strategy": {"type": "Recreate"}},
    "worker": {"replicas": 3, "concurrency": 64, "autoscaling": {"enabled": True, "minReplicas": 3}},
    "beat": {"replicas": 2},
    "responder": {"replicas": 2, "port": 8090},
    "flower": {"user": "viewer"},
    "serviceAccounts": {"annotations": {"worker": {"example.com/role": "dns"}}},
    "networkPolicy": {
        "enabled": True,
        "responderFrom": [{"namespaceSelector": {"matchLabels": {"name": "nginx-ingress"}}}],
    },
}


def listed(*namespaces: str) -> Json:
    """Values for some namespaces only, and an external Redis."""
    redis = {"existingSecret": "redis", "existingSecretKey": "url", "caConfigMap": "redis-ca"}
    return {
        "namespaces": list(namespaces),
        "redis": redis,
        "flower": {"enabled": False},
        "rbac": {"aggregateClusterRoles": False},
    }


def rendered(
    directory: Path, values: Json, *options: str, release: str = "certmill", namespace: str = "cert-manager"
) -> list[Json]:
    """The chart's objects with these values."""
    file = directory / f"{release}-values.yaml"
    file.write_text(yaml.safe_dump(values))
    return render.objects(*options, release=release, namespace=namespace, values=[file])


def path_of(body: Json) -> str:
    """The path of the collection that an object belongs to."""
    version, kind = body["apiVersion"], body["kind"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    where = "" if kind in CLUSTER_WIDE else f"/namespaces/{body['metadata']['namespace']}"
    return f"{root}{where}/{PLURALS.get(kind, kind.lower() + 's')}"


def try_to_create(kube: KubeApiServer, body: Json) -> Answer:
    """The same as `kubectl create --validate=strict --dry-run=server`."""
    return kube.api.request("POST", f"{path_of(body)}?fieldValidation=Strict&dryRun=All", body)


def grant(kube: KubeApiServer, objects: list[Json]) -> None:
    """Create the ServiceAccounts and roles among `objects` on the server. The server applies a binding a
    moment later; this returns when all are applied. Raises ServerFailed."""
    for body in (one for one in objects if one["kind"] in RIGHTS):
        kube.api.apply(f"{path_of(body)}/{body['metadata']['name']}", body)
    for user, right in _one_of_each_binding(objects):
        until(partial(is_allowed, kube, user, right), what=f"{user} was granted {right}")


def right_to(verb: str, resource: str, namespace: str = "", name: str = "") -> Json:
    """The resource as RBAC names it; `resource` is `group/plural` or `group/plural/subresource`."""
    group, _, rest = resource.partition("/")
    plural, _, subresource = rest.partition("/")
    return {
        "verb": verb,
        "group": group,
        "resource": plural,
        "subresource": subresource,
        "namespace": namespace,
        "name": name,
    }


def _one_of_each_binding(objects: list[Json]) -> Iterator[tuple[str, Json]]:
    """One (user, right) for each binding."""
    roles = {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in objects
    }
    for binding in (one for one in objects if one["kind"] in ("RoleBinding", "ClusterRoleBinding")):
        namespace, ref = binding["metadata"].get("namespace", ""), binding["roleRef"]
        rule = roles[ref["kind"], namespace if ref["kind"] == "Role" else "", ref["name"]]["rules"][0]
        resource, name = f"{rule['apiGroups'][0]}/{rule['resources'][0]}", rule.get("resourceNames", [""])[0]
        for subject in binding["subjects"]:
            yield (
                f"{SERVICE_ACCOUNT}{subject['namespace']}:{subject['name']}",
                right_to(rule["verbs"][0], resource, namespace, name),
            )


def as_account(kube: KubeApiServer, namespace: str, name: str) -> KubernetesApi:
    """Requests as one of the chart's ServiceAccounts."""
    return KubernetesApi(
        url=kube.url, ca_file=kube.ca_file, token=kube.token(f"{SERVICE_ACCOUNT}{namespace}:{name}")
    )


def pods(objects: list[Json]) -> dict[str, Json]:
    """The Pod templates of the workloads, by component."""
    found = [one for one in objects if one["kind"] in ("Deployment", "StatefulSet")]
    return {
        one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]["template"] for one in found
    }


def containers(objects: list[Json]) -> dict[str, Json]:
    """The containers, by component; each Pod has one."""
    return {component: template["spec"]["containers"][0] for component, template in pods(objects).items()}


def environment(container: Json) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container.get("env", ())}


def named(objects: list[Json], kind: str, name: str) -> Any:
    (found,) = (one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found
