"""Plan which Certificates of an Ingress or a VirtualServer to create, update and delete. Pure.

`ingress` and `virtualserver` read their objects into Desired; `plan` compares it with the existing
Certificates. Each planned write has the event to record after it has succeeded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from certmill.controller.observed import Observed, traits_of
from certmill.kube.objects import JsonObject, Meta, mapping, meta_of
from certmill.kube.resources import CERTIFICATES, Resource
from certmill.model.annotations import ISSUE_TEMPORARY_CERTIFICATE, OVERRIDE_INGRESS_NAME

BAD_CONFIG: Final = "BadConfig"
CREATED: Final = "CreateCertificate"
UPDATED: Final = "UpdateCertificate"
DELETED: Final = "DeleteCertificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of the Ingress or VirtualServer. `type` is Normal or Warning."""

    type: str
    reason: str
    message: str


def bad_config(message: str) -> Event:
    """What the author of the object has to change."""
    return Event(type="Warning", reason=BAD_CONFIG, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The Ingress or VirtualServer that Certificates are made for."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


def owner_of(resource: Resource, meta: Meta) -> Owner:
    """The owner with this metadata."""
    return Owner(
        api_version=resource.api_version,
        kind=resource.kind,
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredCertificate:
    """A Certificate as it should be: its whole manifest, owned."""

    name: str
    document: JsonObject


def desired(
    owner: Owner,
    secret_name: str,
    spec: Mapping[str, object],
    *,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> DesiredCertificate:
    """The Certificate that keeps `secret_name` for its owner, named as the Secret is."""
    reference = {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid}
    metadata: JsonObject = {"name": secret_name, "namespace": owner.namespace}
    metadata |= {
        name: dict(pairs) for name, pairs in (("labels", labels), ("annotations", annotations)) if pairs
    }
    metadata["ownerReferences"] = [{**reference, "controller": True, "blockOwnerDeletion": True}]
    document: JsonObject = {
        "apiVersion": CERTIFICATES.api_version,
        "kind": CERTIFICATES.kind,
        "metadata": metadata,
        "spec": dict(spec),
    }
    return DesiredCertificate(name=secret_name, document=document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Rules for one kind of owner."""

    triggers: tuple[str, ...]
    """An update is needed if one of these traits differs."""

    annotations: frozenset[str] = frozenset()
    """The annotations of its Certificates that follow the owner: they are updated, and removed if the owner
    does not have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """The desired Certificates of an Ingress or VirtualServer. `secret_names`: all Secrets that it names; its
    Certificates for other Secrets are deleted. None: nothing is deleted."""

    owner: Owner
    rules: Rules
    desired: tuple[DesiredCertificate, ...] = ()
    secret_names: frozenset[str] | None = None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A Certificate to create or to update, and the event to record afterwards."""

    name: str
    document: JsonObject = field(repr=False)
    done: Event

    def refused(self, owner: Owner, why: str) -> Event:
        """The event to record if the API refuses the write."""
        verb = "issuing" if self.done.reason == CREATED else "updating"
        return bad_config(f"Error {verb} Certificate for {owner.kind} resource: {why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A Certificate to delete (only this uid), and the event to record afterwards."""

    name: str
    uid: str
    resource_version: str
    done: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The result of `plan`. `events` are recorded whether the writes succeed or not."""

    create: tuple[Write, ...] = ()
    update: tuple[Write, ...] = ()
    delete: tuple[Removal, ...] = ()
    events: tuple[Event, ...] = ()


def plan(desired: Desired, observed: Iterable[Observed]) -> Plan:
    """Compare the desired Certificates with the existing ones of these names, and with others that may belong
    to the owner. After the plan is done, the next plan is empty."""
    owner, rules = desired.owner, desired.rules
    there = {one.meta.name: one for one in observed if one.meta.namespace == owner.namespace}
    pairs = [(one, there.get(one.name)) for one in desired.desired]
    kept = {one.name for one in desired.desired}
    return Plan(
        create=tuple(_write(one, one.document, CREATED) for one, found in pairs if found is None),
        update=tuple(
            _write(one, _updated(found, one, rules), UPDATED)
            for one, found in pairs
            if found is not None and _is_ours(found, owner) and _differs(found, one, rules)
        ),
        delete=tuple(
            _removal(found)
            for found in there.values()
            if desired.secret_names is not None and _is_ours(found, owner)
            if found.traits.secret_name not in desired.secret_names and found.meta.name not in kept
        ),
        events=desired.events
        + tuple(_of_another(one.name, owner) for one, found in pairs if found and _is_anothers(found, owner)),
    )


def signature(document: Mapping[str, object], rules: Rules) -> int:
    """What is compared of a Certificate by these rules, as eight bytes: for watching many of them."""
    traits, annotations = traits_of(document), meta_of(document).annotations
    compared = [attrgetter(name)(traits) for name in rules.triggers] + [
        annotations.get(name) for name in sorted(rules.annotations)
    ]
    said = json.dumps(compared, sort_keys=True, default=str)
    return int.from_bytes(hashlib.blake2b(said.encode(), digest_size=8).digest(), "big")


def _is_ours(found: Observed, owner: Owner) -> bool:
    """Whether the owner is its controller (same uid). A Certificate that is being deleted has no owner; it is
    created again after the deletion."""
    return not found.meta.deleting and any(
        one.controller and one.uid == owner.uid for one in found.meta.owners
    )


def _is_anothers(found: Observed, owner: Owner) -> bool:
    """Whether it belongs to another owner. A Certificate of a former owner with the same name does not count,
    because it is being garbage collected."""
    names = [(one.api_version, one.kind, one.name) for one in found.meta.owners if one.controller]
    return not found.meta.deleting and (owner.api_version, owner.kind, owner.name) not in names


def _of_another(name: str, owner: Owner) -> Event:
    return bad_config(
        f'Certificate "{name}" is there already and does not belong to this {owner.kind}; it is left as it is'
    )


def _differs(found: Observed, one: DesiredCertificate, rules: Rules) -> bool:
    wanted_traits = traits_of(one.document)
    differing = any(
        attrgetter(name)(found.traits) != attrgetter(name)(wanted_traits) for name in rules.triggers
    )
    return differing or _annotations(found, one, rules) != found.meta.annotations


def _annotations(found: Observed, one: DesiredCertificate, rules: Rules) -> Mapping[str, str]:
    """The annotations after an update. The annotation for a temporary certificate is removed with edit in
    place."""
    there = found.meta.annotations
    asked = {name: value for name, value in meta_of(one.document).annotations.items() if rules.annotations}
    leaving = {name for name in rules.annotations if name in there and name not in asked}
    if OVERRIDE_INGRESS_NAME in leaving:
        leaving.add(ISSUE_TEMPORARY_CERTIFICATE)
    return {name: value for name, value in there.items() if name not in leaving} | asked


def _updated(found: Observed, one: DesiredCertificate, rules: Rules) -> JsonObject:
    """The existing object with the desired spec, labels and annotations."""
    pairs = {"labels": meta_of(one.document).labels, "annotations": _annotations(found, one, rules)}
    metadata = {
        name: value for name, value in mapping(found.body.get("metadata")).items() if pairs.get(name) != {}
    }
    metadata |= {name: dict(values) for name, values in pairs.items() if values}
    return {**found.body, "metadata": metadata, "spec": one.document["spec"]}


def _write(one: DesiredCertificate, document: JsonObject, reason: str) -> Write:
    verb = "created" if reason == CREATED else "updated"
    return Write(
        name=one.name,
        document=document,
        done=Event(type="Normal", reason=reason, message=f'Successfully {verb} Certificate "{one.name}"'),
    )


def _removal(found: Observed) -> Removal:
    name = found.meta.name
    done = Event(
        type="Normal", reason=DELETED, message=f'Successfully deleted unrequired Certificate "{name}"'
    )
    return Removal(name=name, uid=found.meta.uid, resource_version=found.meta.resource_version, done=done)
