"""Kinds by the names that kubectl knows them by."""

from __future__ import annotations

import pytest

from certmill.cli.kinds import OBJECTS, Kind, kind_of, missing, resource


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("certificates", Kind.CERTIFICATE),
        ("cert", Kind.CERTIFICATE),
        ("certs", Kind.CERTIFICATE),
        ("Certificate", Kind.CERTIFICATE),
        ("certificates.cert-manager.io", Kind.CERTIFICATE),
        ("issuer", Kind.ISSUER),
        ("iss", Kind.ISSUER),
        ("clusterissuers", Kind.CLUSTER_ISSUER),
        ("ciss", Kind.CLUSTER_ISSUER),
        ("secrets", Kind.SECRET),
        ("requests", Kind.REQUEST),
    ],
)
def test_a_kind_goes_by_all_its_names(word, kind):
    assert kind_of(word) is kind


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match="'pod' is not one of certificates, issuers, clusterissuers, secrets"
    ):
        kind_of("pod", OBJECTS)


def test_requests_are_no_objects_of_a_home():
    with pytest.raises(ValueError, match="is not one of"):
        kind_of("requests", OBJECTS)


def test_objects_are_named_as_kubectl_names_them():
    assert resource("Certificate", "web") == "certificate.cert-manager.io/web"
    assert resource("Secret", "web") == "secret/web"


def test_what_is_missing_is_said_with_its_namespace_if_it_has_one():
    assert missing("Certificate", "default", "web") == 'certificate "web" not found in namespace "default"'
    assert missing("ClusterIssuer", "", "le") == 'clusterissuer "le" not found'
