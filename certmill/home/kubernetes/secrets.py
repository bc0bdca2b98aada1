"""Secrets in the Kubernetes API, written by server-side apply: fields of other writers stay, and our fields
that are no longer desired are removed.

What a user applies with certmill has its own field manager, so the pipeline's writes and the user's writes do
not undo each other.
"""

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
"""Field manager of what a user applies."""

CERT_MANAGER: Final = "cert-manager-certificates-issuing"
"""cert-manager's field manager of Secrets with issued pairs."""

MANAGERS: Final = (FIELD_MANAGER, CERT_MANAGER)
"""The pipeline takes over issued Secrets of these field managers, whatever its own field manager is now."""


class KubernetesSecrets:
    """The Secrets of one API server."""

    def __init__(self, client: KubeClient, *, manager: str = FIELD_MANAGER) -> None:
        self._client = client
        self._manager = manager

    def read(self, namespace: str, name: str) -> Secret | None:
        """Return the Secret; None if it does not exist. Raises SecretUnusable."""
        body = self._get(namespace, name)
        return _secret_of(body) if body is not None else None

    def all(self, namespace: str) -> Iterator[Secret]:
        """Yield the Secrets of a namespace, or of all namespaces ("")."""
        for body in self._client.list(SECRETS, namespace).items:
            try:
                yield _secret_of(body)
            except SecretUnusable:
                continue

    def versions(self) -> dict[tuple[str, str], str]:
        """Return for each Secret a text that changes when the Secret does. The values of the Secrets are not
        read."""
        metas = (meta_of(body) for body in self._client.list(SECRETS, metadata_only=True).items)
        return {(meta.namespace, meta.name): f"{meta.uid} {meta.resource_version}" for meta in metas}

    def write(self, secret: Secret) -> None:
        """Make the pipeline's keys, labels and annotations equal to these; the server changes only what
        differs.

        This takes one request, except for a Secret that another of MANAGERS wrote before: parts of that
        manager that we do not want are then removed too. The type of a Secret cannot be changed, so an
        existing Secret retains its type, as in cert-manager. Raises InvalidManifest.
        """
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
        """As `write`, for a user. Sends nothing if the Secret is unchanged."""
        layout.require_secret(secret)
        found = self._get(secret.namespace, secret.name)
        if found is None:
            self._client.apply(SECRETS, _body(secret, secret.type), manager=APPLY_MANAGER)
            return Change.CREATED
        if _is_applied(found, secret, APPLY_MANAGER):
            return Change.UNCHANGED
        self._client.apply(
            SECRETS, _body(secret, text(found.get("type")) or OPAQUE_TYPE), manager=APPLY_MANAGER
        )
        return Change.CONFIGURED

    def create(self, secret: Secret) -> bool:
        """Create the Secret. Returns False if there is one of this name. Raises InvalidManifest."""
        layout.require_secret(secret)
        try:
            created = self._client.create(SECRETS, _body(secret, secret.type))
        except Conflict:
            return False
        with suppress(Conflict):  # another process is changing it already
            self._own_what_was_created(created)
        return True

    def delete(self, namespace: str, name: str) -> bool:
        """Delete the Secret. Returns False if it did not exist."""
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
        """Change the ownership of the created fields from the operation Update to Apply. Fields that `create`
        wrote are owned by Update, and a later apply would not remove them."""
        entries = managed_fields(created)
        ours = {"operation": "Apply", "manager": self._manager}
        owned = [{**entry, **ours} if _is_of(entry, FIELD_MANAGER, "Update") else entry for entry in entries]
        self._write_managed_fields(created, owned)

    def _take_over(self, written: JsonObject) -> bool:
        """Take over the fields that cert-manager applied, or that we applied under another field manager. An
        apply of ours does not remove fields of another manager. After this call a field that leaves the
        template also leaves the Secret. Returns False if there are no fields of those managers."""
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
    """Return the union of two sets of fields (fieldsV1)."""
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


def _is_applied(body: Mapping[str, object], secret: Secret, manager: str) -> bool:
    """Whether an apply of this Secret would change nothing: all of it is there, and the manager owns exactly
    this."""
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
    """Return the fields that a manager owns by server-side apply (metadata.managedFields), by part; None if
    it never applied."""
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
