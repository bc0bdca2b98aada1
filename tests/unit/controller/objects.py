"""Objects of the API for the tests of this folder, and an API that does what a plan says."""

from __future__ import annotations

import copy

from certmill.controller.observed import observed_of
from certmill.controller.shim import plan


def an_ingress(*, annotations=None, labels=None, tls=None, **metadata):
    """The Ingress of the tutorial, with annotations added or, by None, taken away."""
    all_annotations = {"cert-manager.io/cluster-issuer": "prod-issuer"} | (annotations or {})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "cafe-ingress",
            "namespace": "shop",
            "uid": "ingress-uid",
            "labels": labels or {},
            "annotations": {name: value for name, value in all_annotations.items() if value is not None},
        }
        | metadata,
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": ["cert.example.com"], "secretName": "cafe-secret"}] if tls is None else tls,
            "rules": [{"host": "cert.example.com"}],
        },
    }


def a_virtual_server(*, labels=None, tls=None, host="cert.example.com", **cert_manager):
    """The VirtualServer of the tutorial; names of the fields of its cert-manager with _ for -."""
    asked = {name.replace("_", "-"): value for name, value in cert_manager.items()} or {
        "cluster-issuer": "prod-issuer"
    }
    return {
        "apiVersion": "k8s.nginx.org/v1",
        "kind": "VirtualServer",
        "metadata": {"name": "cafe", "namespace": "shop", "uid": "vs-uid"}
        | ({"labels": labels} if labels else {}),
        "spec": {
            "host": host,
            "tls": {"secret": "cafe-secret", "cert-manager": asked} if tls is None else tls,
        },
    }


class Api:
    """Certificates by name, which is what a plan writes to."""

    def __init__(self, *documents):
        self.documents = {document["metadata"]["name"]: document for document in documents}
        self.versions = 0

    def plan(self, desired):
        return plan(desired, [observed_of(document) for document in self.documents.values()])

    def apply(self, desired):
        """Do what the plan says; the plan is the answer."""
        todo = self.plan(desired)
        for write in (*todo.create, *todo.update):
            self.versions += 1
            document = copy.deepcopy(write.document)
            document["metadata"] |= {
                "uid": document["metadata"].get("uid", f"uid-{self.versions}"),
                "resourceVersion": str(self.versions),
            }
            self.documents[write.name] = document
        for removal in todo.delete:
            assert self.documents[removal.name]["metadata"]["uid"] == removal.uid
            del self.documents[removal.name]
        return todo

    def edit(self, name, change):
        """Somebody else changes a Certificate."""
        change(self.documents[name])


def is_empty(todo):
    return not (todo.create or todo.update or todo.delete)


def told(todo):
    """(type, reason, message) of every event of a plan, those of its writes too."""
    done = [write.done for write in (*todo.create, *todo.update, *todo.delete)]
    return [(event.type, event.reason, event.message) for event in (*todo.events, *done)]
