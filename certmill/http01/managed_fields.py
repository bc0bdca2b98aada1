"""Restore the field owners of the user's Ingress (metadata.managedFields) after an edit in place. Pure.

A PUT makes certmill the owner of all rules. The user's next server-side apply (Helm, kubectl --server-side,
Terraform) would be refused because of a conflict with certmill."""

from __future__ import annotations

from collections.abc import Mapping

from certmill.kube.client import FIELD_MANAGER
from certmill.kube.objects import JsonObject, managed_fields, mapping

_Entry = Mapping[str, object]


def given_back(before: Mapping[str, object], after: Mapping[str, object]) -> JsonObject | None:
    """A merge patch that restores the field owners of `before` in `after`; None if certmill owns no field.
    Owners of changes that others made meanwhile are kept."""
    metadata = mapping(after.get("metadata"))
    if not any(_is_ours(entry) for entry in managed_fields(after)):
        return None
    former = {_writer(entry): entry for entry in managed_fields(before) if not _is_ours(entry)}
    now = {_writer(entry): entry for entry in managed_fields(after) if not _is_ours(entry)}
    untouched = {
        writer: entry
        for writer, entry in former.items()
        if now.get(writer, entry).get("time") == entry.get("time")
    }
    entries = list((former | now | untouched).values())
    return {"metadata": {"resourceVersion": metadata.get("resourceVersion"), "managedFields": entries}}


def _is_ours(entry: _Entry) -> bool:
    return entry.get("manager") == FIELD_MANAGER


def _writer(entry: _Entry) -> tuple[object, ...]:
    return tuple(entry.get(name) for name in ("manager", "operation", "subresource", "apiVersion"))
