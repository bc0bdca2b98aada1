"""Secrets in the Kubernetes API, written by server-side apply: fields of other writers stay, and our fields
that are no longer wanted are removed.

What a user applies with certmill has its own field manager, so that the pipeline's writes and the user's do
not undo each other."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from certmill.errors import Conflict, InvalidManifest, SecretUnusable
from certmill.home import layout
from certmill.home.base import Change
from certmill.kube.client import FIELD_MANAGER, KubeClient
from certmill.kube.objects import JsonObject, managed_fields, mapping, meta_of, strings, text
from certmill.kube.resources import SECRETS
from certmill.model.secret import OPAQUE_TYPE, Secret

APPLY_MANAGER: Final = "certmill-apply"
"""Field manager of what a person applies."""

CERT_MANAGER: Final = "cert-manager-certificates-issuing"
"""cert-manager's field manager of Secrets with issued pairs."""

MANAGERS: Final = (FIELD_MANAGER, CERT_MANAGER)
"""Whose Secrets with issued pairs are taken over by whatever field manager is ours now."""


class KubernetesSecrets:
    """The Secrets of one API server."""

    def __init__(self, client: KubeClient, *, manager: str = FIELD_MANAGER) -> None:
        self._client = client
        self._manager = manager

    def read(self, namespace: str, name: str) -> Secret | None:
        """Raises SecretUnusable."""
        body = self._get(namespace, name)
        return _secret_of(body) if body is not None else None

    def all(self, namespace: str) -> Iterator[Secret]:
        """Those of a namespace, or of all ("")."""
        for body in self._client.list(SECRETS, namespace).items:
            try:
                yield _secret_of(body)
            except SecretUnusable:
                continue

    def versions(self) -> dict[tuple[str, str], str]:
        """What changes with each of them; without their values."""
        metas = (meta_of(body) for body in self._client.list(SECRETS, metadata_only=True).items)
        return {(meta.namespace, meta.name): f"{meta.uid} {meta.resource_version}" for meta in metas}

    def write(self, secret: Secret) -> None:
        """Make the pipeline's keys, labels and annotations be these; the server changes nothing that is so
        already. One request, but for a Secret that another of MANAGERS wrote before us: what it wanted there
        and we do not goes too.

        A type cannot be changed: a Secret that is there keeps its own, as at cert-manager. Raises
        InvalidManifest."""
        layout.require_secret(secret)
        body = _body(secret, secret.type)
        try:
            written = self._client.apply(SECRETS, body, manager=self._manager)
        except InvalidManifest:
            found = self._get(secret.namespace, secret.name)
            if found is None or found.get("type") == secret.type:
                raise
            body = _body(secret, text(found.get("type")) or OPAQUE_TYPE)
            written = self._client.apply(SECRETS, body, manager=self._manager)
        if self._take_over(written):
            self._client.apply(SECRETS, body, manager=self._manager)

    def apply(self, secret: Secret) -> Change:
        """The same for a person; nothing is sent if it is unchanged."""
        layout.require_secret(secret)
        found = self._get(secret.namespace, secret.name)
        if found is None:
            self._client.apply(SECRETS, _body(secret, secret.type), manager=APPLY_MANAGER)
            return Change.CREATED
        if _says(found, secret, APPLY_MANAGER):
            return Change.UNCHANGED
        self._client.apply(
            SECRETS, _body(secret, text(found.get("type")) or OPAQUE_TYPE), manager=APPLY_MANAGER
        )
        return Change.CONFIGURED

    def create(self, secret: Secret) -> bool:
        """False if there is one of this name. Raises InvalidManifest."""
        layout.require_secret(secret)
        try:
            created = self._client.create(SECRETS, _body(secret, secret.type))
        except Conflict:
            return False
        with suppress(Conflict):  # somebody changes it already
            self._own_what_was_created(created)
        return True

    def delete(self, namespace: str, name: str) -> bool:
        """False if it was not there."""
        return (
            bool(namespace)
            and layout.is_name(namespace, name)
            and self._client.delete(SECRETS, namespace, name)
        )

    def _get(self, namespace: str, name: str) -> JsonObject | None:
        return (
            self._client.get(SECRETS, namespace, name)
            if namespace and layout.is_name(namespace, name)
            else None
        )

    def _own_what_was_created(self, created: JsonObject) -> None:
        """What `create` wrote is ours by Update, and an apply would take nothing of it away: make it ours by
        Apply."""
        entries = managed_fields(created)
        ours = {"operation": "Apply", "manager": self._manager}
        owned = [{**entry, **ours} if _is_of(entry, FIELD_MANAGER, "Update") else entry for entry in entries]
        self._write_managed_fields(created, owned)

    def _take_over(self, written: JsonObject) -> bool:
        """What cert-manager applied, or we by another field manager, is that one's own: an apply of ours
        takes nothing of it away. Make it ours, so that what leaves the template leaves the Secret; False if
        there is nothing of theirs."""
        entries, former = (
            managed_fields(written),
            [manager for manager in MANAGERS if manager != self._manager],
        )
        theirs = [entry for entry in entries if any(_is_of(entry, manager, "Apply") for manager in former)]
        applied = [entry for entry in entries if _is_of(entry, self._manager, "Apply")]
        if not theirs:
            return False
        fields: JsonObject = {}
        for entry in (*theirs, *applied):
            fields = _union(fields, mapping(entry.get("fieldsV1")))
        ours = {**theirs[0], "manager": self._manager, "fieldsV1": fields}
        self._write_managed_fields(
            written, [*(entry for entry in entries if entry not in theirs and entry not in applied), ours]
        )
        return True

    def _write_managed_fields(self, found: JsonObject, entries: Sequence[Mapping[str, object]]) -> None:
        meta = meta_of(found)
        patch: JsonObject = {
            "metadata": {"resourceVersion": meta.resource_version, "managedFields": list(entries)}
        }
        self._client.merge(SECRETS, meta.namespace, meta.name, patch)


def _union(one: Mapping[str, object], other: Mapping[str, object]) -> JsonObject:
    """The fields of two sets (fieldsV1)."""
    return {
        name: _union(mapping(one.get(name)), mapping(other.get(name)))
        for name in (*one, *(key for key in other if key not in one))
    }


def _secret_of(body: Mapping[str, object]) -> Secret:
    meta = meta_of(body)
    try:
        data = {
            name: base64.b64decode(value, validate=True) for name, value in strings(body.get("data")).items()
        }
    except (binascii.Error, ValueError):
        raise SecretUnusable(
            f"the Secret {meta.namespace}/{meta.name} has a value that is not valid base64"
        ) from None
    return Secret(
        namespace=meta.namespace,
        name=meta.name,
        type=text(body.get("type")) or OPAQUE_TYPE,
        data=data,
        labels=meta.labels,
        annotations=meta.annotations,
    )


def _body(secret: Secret, type_: str) -> JsonObject:
    metadata: JsonObject = {"name": secret.name, "namespace": secret.namespace}
    metadata |= {
        name: dict(value)
        for name, value in (("labels", secret.labels), ("annotations", secret.annotations))
        if value
    }
    data = {name: base64.b64encode(value).decode() for name, value in secret.data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type_, "data": data}


def _says(body: Mapping[str, object], secret: Secret, manager: str) -> bool:
    """Whether an apply of this Secret would change nothing: all of it is there, and the manager owns this and
    nothing else."""
    found, owned = _secret_of(body), _owned(body, manager)
    parts = (
        ("f:data", found.data, secret.data),
        ("f:labels", found.labels, secret.labels),
        ("f:annotations", found.annotations, secret.annotations),
    )
    return owned is not None and all(
        owned[part] == set(wanted) and all(there.get(name) == value for name, value in wanted.items())
        for part, there, wanted in parts
    )


def _owned(body: Mapping[str, object], manager: str) -> dict[str, set[str]] | None:
    """What a manager owns by server-side apply (metadata.managedFields), by part; None if it never
    applied."""
    for entry in managed_fields(body):
        if _is_of(entry, manager, "Apply"):
            fields = mapping(entry.get("fieldsV1"))
            parts = {"f:data": fields.get("f:data")} | {
                name: mapping(fields.get("f:metadata")).get(name) for name in ("f:labels", "f:annotations")
            }
            return {
                part: {name.removeprefix("f:") for name in mapping(members) if name != "."}
                for part, members in parts.items()
            }
    return None


def _is_of(entry: Mapping[str, object], manager: str, operation: str) -> bool:
    return (
        entry.get("manager") == manager
        and entry.get("operation") == operation
        and not entry.get("subresource")
    )
