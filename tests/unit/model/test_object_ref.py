"""The identity of an object, and its text in Redis and in messages."""

from __future__ import annotations

import pytest

from certmill.model.object_ref import ObjectRef


@pytest.mark.parametrize(
    ("ref", "text"),
    [
        (ObjectRef.of("ClusterIssuer", "default", "prod"), "ClusterIssuer/prod"),
        (ObjectRef.of("Issuer", "default", "prod"), "Issuer/default/prod"),
        (ObjectRef.from_path("ClusterIssuer", "prod"), "ClusterIssuer/prod"),
        (ObjectRef.from_path("Certificate", "default/web"), "Certificate/default/web"),
    ],
)
def test_the_text_has_a_namespace_only_if_the_kind_has_one(ref, text):
    assert str(ref) == text
    assert ObjectRef.from_path(ref.kind, ref.path) == ref
    assert ObjectRef.from_text(text) == ref
