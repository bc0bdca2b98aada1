"""The candidate issuers of a Certificate, and the digests that show whether a manifest has changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.certificates.candidates import issuer_of_run, issuers_for
from certmill.certificates.digest import digests
from certmill.model.certificate import IssuerRef
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.model.object_ref import ObjectRef
from certmill.testing.home import MemoryHome
from tests.support.builders import a_certificate, an_issuer

WEB = a_certificate()
PROD = an_issuer()
STAGE = an_issuer(kind="Issuer", namespace="default", name="stage", server="https://stage.test/dir")


@pytest.mark.parametrize(
    ("certificate", "issuers", "recorded"),
    [
        (WEB, (PROD,), "4af59e1e6dc27516"),
        (WEB, (), "bbd072cc39aad845"),
        (replace(WEB, issuer_ref=IssuerRef(name="stage", kind="")), (), "a460581f9029e256"),
    ],
)
def test_a_digest_that_an_older_release_has_recorded_is_that_of_the_same_manifest(
    certificate, issuers, recorded
):
    assert digests(certificate, issuers) == (recorded,)


def test_a_manifest_is_unchanged_with_any_of_its_candidates():
    begun_with_stage = digests(WEB, (STAGE,))[0]

    assert begun_with_stage in digests(WEB, (PROD, STAGE))
    assert begun_with_stage not in digests(WEB, (PROD,))
    assert begun_with_stage not in digests(WEB, (PROD, replace(STAGE, server="https://other.test/dir")))
    assert begun_with_stage not in digests(replace(WEB, dns_names=("new.example.test",)), (PROD, STAGE))


def test_a_run_goes_on_with_the_candidate_that_it_began_with():
    assert issuer_of_run((PROD, STAGE), STAGE.ref) is STAGE
    assert issuer_of_run((PROD, STAGE), ObjectRef.of("Issuer", "", "")) is PROD
    assert issuer_of_run((), PROD.ref) is None


def test_the_candidates_are_the_issuers_that_exist():
    home = MemoryHome()
    home.apply(WEB, dump_yaml(certificate_document(WEB)))
    assert issuers_for(home, WEB) == ()

    home.apply(PROD, "")
    assert issuers_for(home, WEB) == (PROD,)
