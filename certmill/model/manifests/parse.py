"""Public functions: read cert-manager's manifests and requests into values, and write documents back.

Fields that certmill would ignore are refused. Every error is an InvalidManifest with its source and the path
of the field; one invalid document does not affect the others. The schemas of Issuers and Secrets are imported
at their first use, so that quick commands start fast."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from certmill.errors import InvalidManifest
from certmill.model.certificate import Certificate
from certmill.model.identifiers import is_object_name, namespace_name, shown
from certmill.model.issuer import Issuer
from certmill.model.manifests.certificate.document import certificate_document
from certmill.model.manifests.certificate.rules import certificate_of
from certmill.model.manifests.certificate.schema import CertificateManifest, Renew, Request
from certmill.model.manifests.schema import Metadata, validated
from certmill.model.manifests.yaml_documents import MAX_MANIFEST_BYTES, dump_yaml, read_documents
from certmill.model.names import CertificateId, certificate_id
from certmill.model.secret import Secret

DEFAULT_NAMESPACE = "default"

_GROUP_VERSION = "cert-manager.io/v1"
_KEPT_METADATA = ("labels", "annotations")
_LIST_FIELDS = frozenset({"apiVersion", "kind", "metadata", "items"})

Value: TypeAlias = Certificate | Issuer | Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One object of a file. `source` is "file.yaml", or "file.yaml#2" if there are several; a ClusterIssuer's
    namespace is ""."""

    source: str
    kind: str
    namespace: str
    name: str
    value: Value
    text: str = field(repr=False)
    """Its YAML for a directory home: with its namespace, without status and fields that an API server
    sets."""


def parse_documents(
    text: str | bytes, *, source: str, default_namespace: str = DEFAULT_NAMESPACE
) -> tuple[list[Document], list[InvalidManifest]]:
    """Read all objects in YAML or JSON, also the items of a `kind: List`. Returns the valid ones, and an
    error for each invalid one."""
    documents: list[Document] = []
    wrong: list[InvalidManifest] = []
    try:
        found = read_documents(text)
    except InvalidManifest as error:
        return [], [_placed(error, source)]
    several = len(found) > 1
    for number, one in enumerate(found, 1):
        where = f"{source}#{number}" if several else source
        for path, body in _objects(one):
            try:
                documents.append(_document(body, where, default_namespace))
            except InvalidManifest as error:
                wrong.append(_placed(error, where + _called(body) if several or path else where, path))
    return documents, wrong


def _called(body: object) -> str:
    """For example ` (Certificate prod/web)`: which object of several a message is about. "" if it has no
    usable kind or name."""
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(metadata, dict):
        return ""
    kind, name, namespace = body.get("kind"), metadata.get("name"), metadata.get("namespace")
    if not isinstance(kind, str) or kind not in _READERS or not _is_name(name):
        return ""
    return f" ({kind} {namespace}/{name})" if _is_name(namespace) else f" ({kind} {name})"


def _is_name(value: object) -> bool:
    return isinstance(value, str) and is_object_name(value)


def parse_certificate(
    body: Mapping[str, object], *, source: str, default_namespace: str = DEFAULT_NAMESPACE
) -> Certificate:
    """Read a whole Certificate. Raises InvalidManifest."""
    try:
        return _certificate(dict(body), default_namespace)
    except InvalidManifest as error:
        raise _placed(error, source) from None


def parse_issuer(
    body: Mapping[str, object], *, source: str, default_namespace: str = DEFAULT_NAMESPACE
) -> Issuer:
    """Read a whole Issuer or ClusterIssuer. Raises InvalidManifest."""
    try:
        return _issuer(dict(body), default_namespace)
    except InvalidManifest as error:
        raise _placed(error, source) from None


def parse_document(text: str) -> dict[str, object]:
    """The one mapping in a Document's text. Raises InvalidManifest."""
    found = read_documents(text)
    if len(found) != 1 or not isinstance(found[0], dict):
        raise InvalidManifest("must be one object with apiVersion, kind and metadata")
    return found[0]


def parse_request(body: object) -> Certificate:
    """Read a contract.RequestBody. The kind of the issuer is "" if the request does not set it. Raises
    InvalidManifest."""
    request = validated(Request, body)
    return certificate_of(
        request.spec,
        metadata=Metadata(name=request.name),
        namespace=request.namespace or DEFAULT_NAMESPACE,
        secret_name=request.spec.secret_name or request.name,
        default_kind="",
    )


def parse_renewal(body: object) -> CertificateId:
    """Read a contract.RenewBody. Raises InvalidManifest."""
    renewal = validated(Renew, body)
    return certificate_id(renewal.namespace or DEFAULT_NAMESPACE, renewal.name)


def _placed(error: InvalidManifest, source: str, path: str = "") -> InvalidManifest:
    return InvalidManifest(
        error.reason, path=".".join(part for part in (path, error.path) if part), source=source
    )


def _objects(document: object) -> Iterator[tuple[str, object]]:
    """(path, object) for each object of a document: the document itself or the items of a List, or its
    error."""
    items = document.get("items") if isinstance(document, dict) and document.get("kind") == "List" else None
    if (
        isinstance(document, dict)
        and isinstance(items, list)
        and document.get("apiVersion") == "v1"
        and _LIST_FIELDS.issuperset(document)
    ):
        yield from ((f"items[{index}]", item) for index, item in enumerate(items))
    else:
        yield "", document


def _document(body: object, source: str, default_namespace: str) -> Document:
    if isinstance(body, InvalidManifest):
        raise body
    if not isinstance(body, dict):
        raise InvalidManifest("must be an object with apiVersion, kind and metadata")
    value = _reader(body)(body, default_namespace)
    kind = str(body["kind"])
    return Document(
        source=source,
        kind=kind,
        namespace=value.namespace,
        name=value.name,
        value=value,
        text=dump_yaml(_kept(body, value.namespace)),
    )


def _kept(body: dict[str, object], namespace: str) -> dict[str, object]:
    """The manifest as its author meant it, with the namespace in which it was read."""
    metadata = body["metadata"]
    assert isinstance(metadata, dict)
    ours = {"name": metadata["name"], "namespace": namespace} | {
        key: metadata[key] for key in _KEPT_METADATA if metadata.get(key)
    }
    return {key: value for key, value in body.items() if key != "status"} | {
        "metadata": {key: value for key, value in ours.items() if value}
    }


_Reader: TypeAlias = Callable[[dict[str, object], str], Value]


def _reader(body: Mapping[str, object]) -> _Reader:
    """The reader for objects of this kind. Raises InvalidManifest for an unknown kind."""
    kind, version = body.get("kind"), body.get("apiVersion")
    if not isinstance(kind, str):
        raise InvalidManifest("is required" if kind is None else "must be a string", path="kind")
    if kind == "List" and version == "v1":
        raise InvalidManifest("a List has apiVersion, kind and items, and no List among them", path="kind")
    known = _READERS.get(kind)
    if known is None:
        raise InvalidManifest(
            f"{shown(kind)} is not a kind that certmill reads; it reads {', '.join(_READERS)} and List",
            path="kind",
        )
    expected, reader = known
    if version != expected:
        found = f", not {shown(version)}" if isinstance(version, str) else ""
        raise InvalidManifest(f"must be {expected} for a {kind}{found}", path="apiVersion")
    return reader


def _namespace(metadata: Metadata, default: str) -> str:
    if metadata.namespace is not None:
        return metadata.namespace
    try:
        return namespace_name(default)
    except ValueError as error:
        raise InvalidManifest(str(error), path="metadata.namespace") from None


def _certificate(body: dict[str, object], default_namespace: str) -> Certificate:
    manifest = validated(CertificateManifest, body)
    namespace = _namespace(manifest.metadata, default_namespace)
    spec = manifest.spec
    return certificate_of(
        spec,
        metadata=manifest.metadata,
        namespace=namespace,
        secret_name=spec.secret_name,
        default_kind="Issuer",
    )


def _issuer(body: dict[str, object], default_namespace: str) -> Issuer:
    """Remove the namespace of a ClusterIssuer, as kubectl does, because the kind has none."""
    from certmill.model.manifests.issuer.rules import issuer_of
    from certmill.model.manifests.issuer.schema import IssuerManifest

    manifest = validated(IssuerManifest, body)
    return issuer_of(
        manifest, "" if manifest.kind == "ClusterIssuer" else _namespace(manifest.metadata, default_namespace)
    )


def _secret(body: dict[str, object], default_namespace: str) -> Secret:
    from certmill.model.manifests.schema_secret import SecretManifest, secret_of

    manifest = validated(SecretManifest, body)
    return secret_of(manifest, _namespace(manifest.metadata, default_namespace))


_READERS: dict[str, tuple[str, _Reader]] = {
    "Certificate": (_GROUP_VERSION, _certificate),
    "Issuer": (_GROUP_VERSION, _issuer),
    "ClusterIssuer": (_GROUP_VERSION, _issuer),
    "Secret": ("v1", _secret),
}

__all__ = [
    "DEFAULT_NAMESPACE",
    "MAX_MANIFEST_BYTES",
    "Document",
    "Value",
    "certificate_document",
    "dump_yaml",
    "parse_certificate",
    "parse_document",
    "parse_documents",
    "parse_issuer",
    "parse_renewal",
    "parse_request",
]
