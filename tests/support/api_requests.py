"""Counts the requests that an API server has answered, by verb and resource."""

from __future__ import annotations

import re
from collections import Counter

from compose.servers.cluster.kubernetes import KubeApiServer

_COUNTED = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def requests_of(kube: KubeApiServer) -> Counter[str]:
    """The number of requests so far: {"GET certificates": 3, "PUT certificates/status": 2, …}."""
    counted: Counter[str] = Counter()
    for match in _COUNTED.finditer(kube.api.request("GET", "/metrics", accept="text/plain").message):
        labels = dict(_LABEL.findall(match["labels"]))
        what = "/".join(name for name in (labels["resource"], labels["subresource"]) if name)
        counted[f"{labels['verb']} {what}"] += int(float(match["count"]))
    return counted
