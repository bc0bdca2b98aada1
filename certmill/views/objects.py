"""Builds objects with their status in the form that cert-manager and Kubernetes serve: the output of `-o
yaml` and `-o json`. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from certmill.model.certificate import Certificate
from certmill.model.durations import format_duration
from certmill.model.issuer import (
    Dns01Solver,
    Http01Solver,
    Issuer,
    SecretKeyRef,
    Selector,
    Solver,
)
from certmill.model.manifests.parse import certificate_document
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, Condition, IssuerStatus
from certmill.views.ari import ari_object
from certmill.views.times import timestamp

Object = dict[str, object]


def certificate_object(certificate: Certificate, status: CertificateStatus, created: float | None) -> Object:
    """A cert-manager.io/v1 Certificate with its status. `created` is in seconds since the epoch; None:
    unknown."""
    found = {
        "conditions": [_condition(condition) for condition in status.conditions],
        "notBefore": _time(status.not_before),
        "notAfter": _time(status.not_after),
        "renewalTime": _time(status.renewal_time),
        "revision": status.revision,
        "lastFailureTime": _time(status.last_failure_time),
        "failedIssuanceAttempts": status.failed_issuance_attempts,
        "acme": ari_object(status.ari),
    }
    return _with(dict(certificate_document(certificate)), created, status=_set(found))


def issuer_object(issuer: Issuer, status: IssuerStatus, created: float | None) -> Object:
    """A cert-manager.io/v1 Issuer or ClusterIssuer with its status. `created` is in seconds since the
    epoch."""
    account = {
        "uri": status.uri,
        "lastRegisteredEmail": status.last_registered_email,
        "lastPrivateKeyHash": status.last_private_key_hash,
    }
    document: Object = {
        "apiVersion": "cert-manager.io/v1",
        "kind": issuer.kind,
        "metadata": _metadata(issuer.name, issuer.namespace, issuer.labels, issuer.annotations),
        "spec": {"acme": _acme(issuer)},
    }
    found = {"acme": _set(account), "conditions": [_condition(condition) for condition in status.conditions]}
    return _with(document, created, status=_set(found))


def secret_object(secret: Secret, created: float | None) -> Object:
    """A v1 Secret with its values in base64, as kubectl prints them. `created` is in seconds since the
    epoch."""
    document: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(secret.name, secret.namespace, secret.labels, secret.annotations),
        "type": secret.type,
        "data": {key: base64.b64encode(value).decode() for key, value in sorted(secret.data.items())},
    }
    return _with(document, created)


def several(objects: list[Object]) -> Object:
    """A v1 List of these objects."""
    return {"apiVersion": "v1", "kind": "List", "items": objects}


def _with(document: Object, created: float | None, status: Object | None = None) -> Object:
    metadata = document.get("metadata")
    if created is not None and isinstance(metadata, dict):
        document["metadata"] = {**metadata, "creationTimestamp": timestamp(created)}
    return {**document, "status": status} if status else document


def _metadata(name: str, namespace: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Object:
    return _set(
        {"name": name, "namespace": namespace, "labels": dict(labels), "annotations": dict(annotations)}
    )


def _condition(condition: Condition) -> Object:
    return {
        "type": condition.type,
        "status": str(condition.status),
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": timestamp(condition.last_transition),
    }


def _acme(issuer: Issuer) -> Object:
    binding = issuer.external_account_binding
    spec = {
        "server": issuer.server,
        "email": issuer.email,
        "profile": issuer.profile,
        "preferredChain": issuer.preferred_chain,
        "caBundle": base64.b64encode(issuer.ca_bundle).decode() if issuer.ca_bundle else None,
        "skipTLSVerify": issuer.skip_tls_verify,
        "enableDurationFeature": issuer.enable_duration,
        "disableAccountKeyGeneration": issuer.disable_account_key_generation,
        "privateKeySecretRef": _ref(issuer.private_key),
        "externalAccountBinding": {"keyID": binding.key_id, "keySecretRef": _ref(binding.key_secret_ref)}
        if binding
        else None,
        "renewalInformationSource": None if issuer.uses_ari else "None",
        "solvers": [_solver(solver) for solver in issuer.solvers],
    }
    return _set(spec)


def _solver(solver: Solver) -> Object:
    found: Object = {"selector": _selector(solver.selector)}
    if solver.http01 is not None:
        found["http01"] = {"ingress": _ingress(solver.http01)}
    if solver.dns01 is not None:
        found["dns01"] = _dns01(solver.dns01)
    if solver.wait_instead_of_self_check is not None:
        found["waitInsteadOfSelfCheck"] = format_duration(solver.wait_instead_of_self_check)
    return {name: value for name, value in found.items() if value is not None}


def _selector(selector: Selector | None) -> Object | None:
    if selector is None:
        return None
    names = {
        "matchLabels": dict(selector.match_labels),
        "dnsNames": list(selector.dns_names),
        "dnsZones": list(selector.dns_zones),
    }
    return _set(names)


def _ingress(solver: Http01Solver) -> Object:
    template = solver.ingress_template
    fields = {
        "class": solver.ingress_class,
        "ingressClassName": solver.ingress_class_name,
        "name": solver.ingress_name,
        "serviceType": solver.service_type,
        "ingressTemplate": _set(
            {"metadata": _set({"annotations": dict(template.annotations), "labels": dict(template.labels)})}
        ),
    }
    return _set(fields)


def _dns01(solver: Dns01Solver) -> Object:
    fields = {
        "cnameStrategy": "Follow" if solver.follow_cname else None,
        "nameservers": list(solver.nameservers),
    }
    provider = {
        name: _ref(value) if isinstance(value, SecretKeyRef) else value
        for name, value in solver.provider.document().items()
    }
    return _set(fields) | {solver.provider.field: _set(provider)}


def _ref(ref: SecretKeyRef | None) -> Object | None:
    return {"name": ref.name, "key": ref.key} if ref else None


def _set(fields: Mapping[str, object]) -> Object:
    """The fields that are set; the same as omitempty in Kubernetes."""
    return {name: value for name, value in fields.items() if value not in (None, "", 0, False, [], {})}


def _time(at: float | None) -> str | None:
    return timestamp(at) if at is not None else None
