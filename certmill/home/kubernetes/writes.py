"""Writes status and annotations without undoing what another process has written since the read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from certmill.errors import Conflict
from certmill.home.kubernetes.history import HISTORY_ANNOTATION
from certmill.home.kubernetes.status import ATTEMPT_ANNOTATION
from certmill.kube.client import KubeClient
from certmill.kube.objects import JsonObject, meta_of
from certmill.kube.resources import CERTIFICATES, Resource
from certmill.model.names import CertificateId, split_id

_TRIES: Final = 3


def annotate(
    client: KubeClient, certificate: CertificateId, before: JsonObject, changed: Mapping[str, str]
) -> JsonObject | None:
    """Return the object with our annotations; None if it is gone or being deleted.

    Raises Conflict if another process has changed these annotations or the status since `before` was read, or
    if another object has its name now. So the note of an order that a run has removed is not written again.
    """
    for _ in range(_TRIES):
        patch = {"metadata": {"resourceVersion": meta_of(before).resource_version, "annotations": changed}}
        try:
            return client.merge(CERTIFICATES, *split_id(certificate), patch)
        except Conflict:
            now = client.get(CERTIFICATES, *split_id(certificate))
            if now is None or meta_of(now).deleting:
                return None
            if _is_another(now, before) or _written_by_us(now) != _written_by_us(before):
                raise
            before = now
    raise Conflict(f"Certificate {certificate} is being changed again and again; its status is written later")


def confirm(client: KubeClient, certificate: CertificateId, wanted: JsonObject) -> JsonObject | None:
    """Return the current object, which has the wanted status and annotations; None if it is gone or being
    deleted. Nothing was written, so only this read shows whether `wanted` was made from an old object.

    Raises Conflict if it was: another process has written since, or another object has its name now.
    """
    now = client.get(CERTIFICATES, *split_id(certificate))
    if now is None or meta_of(now).deleting:
        return None
    if _is_another(now, wanted) or _written_by_us(now) != _written_by_us(wanted):
        raise Conflict(
            f"Certificate {certificate} has a newer status than the one that was read; it is read again"
        )
    return now


def write_status(
    client: KubeClient, resource: Resource, before: JsonObject, wanted: JsonObject
) -> JsonObject | None:
    """Write the status over the object that it was made from. A change of metadata or spec in the meantime
    does not matter; a change of the status does.

    Returns the object as it was written. None: the object has this status already, or it is gone or being
    deleted. Raises Conflict if another process has changed the status, or if another object has its name now.
    """
    for _ in range(_TRIES):
        if before.get("status") == wanted["status"] or meta_of(before).deleting:
            return None
        try:
            return client.update(resource, wanted, subresource="status")
        except Conflict:
            meta = meta_of(before)
            now = client.get(resource, meta.namespace, meta.name)
            if now is None:
                return None
            if _is_another(now, before):
                raise
            if now.get("status") == wanted["status"]:
                return None
            if now.get("status") != before.get("status"):
                raise
            before, wanted = now, {**now, "status": wanted["status"]}
    raise Conflict(
        f"{resource.kind} {meta_of(before).name} is being changed again and again; its status is written "
        "later"
    )


def _is_another(now: JsonObject, before: JsonObject) -> bool:
    return meta_of(now).uid != meta_of(before).uid


def _written_by_us(body: JsonObject) -> tuple[object, ...]:
    """Return the part of an object that only certmill and cmctl write."""
    annotations = meta_of(body).annotations
    return body.get("status"), annotations.get(ATTEMPT_ANNOTATION), annotations.get(HISTORY_ANNOTATION)
