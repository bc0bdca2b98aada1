"""The id of an installation. It is created once, stored in the home, and the same for all processes
(runs.installation).

A directory home stores the id in a file, so a copy of the home on a new machine is the same installation. In
a cluster the id is the uid of certmill's own namespace, a slash and the name of the Lease, which is the name
of the Helm release. Nothing is written for it in a cluster.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from certmill.home.made_once import made_once
from certmill.kube.objects import meta_of
from certmill.kube.resources import NAMESPACES

if TYPE_CHECKING:
    from certmill.kube.client import KubeClient

FILE = "installation-id"


def of_directory(home: Path) -> str:
    """Return the id in the home; create it if there is none. Raises HomeUnavailable."""
    return made_once(home / FILE, lambda: uuid.uuid4().hex)


def of_cluster(client: KubeClient, namespace: str, lease_name: str) -> str:
    """Return the uid of certmill's namespace, a slash and the name of the Lease; "" if the namespace does not
    exist. Raises HomeUnavailable, Forbidden."""
    body = client.get(NAMESPACES, "", namespace)
    return f"{meta_of(body).uid}/{lease_name}" if body is not None else ""
