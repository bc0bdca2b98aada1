"""The candidate issuers of a Certificate, and the digests that show whether a manifest has changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.certificates.candidates import candidate_of, candidates_for, ref_of, run_first
from certmill.certificates.digest import digest
from certmill.certificates.secret_contract import candidate_in
from certmill.errors import InvalidManifest
from certmill.model.certificate import IssuerRef
from certmill.testing.home import MemoryHome
from tests.support.builders import a_certificate, a_pair, an_issuer

STAGE_REF = IssuerRef(name="stage", group="cert-manager.io")
WEB = a_certificate(fallback_issuers=(STAGE_REF,))
PROD = an_issuer()
STAGE = an_issuer(kind="Issuer", namespace="default", name="stage", server="https://stage.test/dir")


def a_home(*issuers):
    home = MemoryHome()
    for issuer in issuers:
        home.apply(issuer, "")
    return home


def specs(certificate, *issuers):
    return [candidate.spec for candidate in candidates_for(a_home(*issuers), certificate)]


@pytest.mark.parametrize(
    ("certificate", "issuer", "recorded"),
    [
        (WEB, PROD, "4af59e1e6dc27516"),
        (WEB, None, "bbd072cc39aad845"),
        (replace(WEB, issuer_ref=IssuerRef(name="stage", kind="")), None, "a460581f9029e256"),
    ],
)
def test_a_digest_that_an_older_release_has_recorded_is_that_of_the_same_manifest(
    certificate, issuer, recorded
):
    assert digest(certificate, issuer) == recorded


def test_a_manifest_is_unchanged_with_any_of_its_candidates():
    _, begun_with_stage = specs(WEB, PROD, STAGE)

    assert begun_with_stage not in specs(WEB, PROD)
    assert begun_with_stage not in specs(WEB, PROD, replace(STAGE, server="https://other.test/dir"))
    assert begun_with_stage not in specs(replace(WEB, dns_names=("new.example.test",)), PROD, STAGE)
    assert begun_with_stage in specs(replace(WEB, fallback_issuers=(IssuerRef(name="new"), STAGE_REF)), STAGE)


def test_the_candidate_of_a_run_is_found_by_the_digest_in_its_record():
    prod, stage = found = candidates_for(a_home(PROD, STAGE), WEB)

    assert candidate_of(found, stage.spec) is stage
    assert candidate_of(found, "of another manifest") is None
    assert run_first(found, stage.spec) == (stage, prod)
    assert run_first(found, "") == (prod, stage)


def test_the_first_candidate_may_be_missing_and_the_others_are_left_out():
    alone = a_home(STAGE)
    alone.break_manifest("Issuer", "default", "stage", "spec.acme.server is not a valid URL")

    assert [one.issuer for one in candidates_for(a_home(STAGE), WEB)] == [None, STAGE]
    assert [one.issuer for one in candidates_for(a_home(PROD), WEB)] == [PROD]
    assert [one.issuer for one in candidates_for(alone, WEB)] == [None]


def test_a_first_candidate_that_is_not_valid_is_an_error():
    home = a_home(PROD, STAGE)
    home.break_manifest("ClusterIssuer", "", "prod", "spec.acme.server is not a valid URL")

    with pytest.raises(InvalidManifest):
        candidates_for(home, WEB)


def test_a_pair_is_of_the_candidate_that_its_secret_names_as_the_manifest_spells_it():
    of_stage = a_pair(replace(WEB, issuer_ref=IssuerRef(name="stage")))

    assert candidate_in(of_stage, WEB) == STAGE_REF
    assert candidate_in(of_stage, a_certificate()) is None
    assert ref_of(WEB, STAGE.ref) == STAGE_REF
