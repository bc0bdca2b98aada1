"""Issuers with empty fields, as programs in Go write them. certmill accepts them."""

from __future__ import annotations

from tests.support.issuer_bodies import with_rfc2136, with_solver
from tests.support.manifest_bodies import an_issuer_body

GO_WRITES = {
    # Go writes a field that is not a pointer also when it is empty (pkg/apis/acme/v1/types_issuer.go), and an
    # empty status.
    "a TSIG secret without a name": with_rfc2136(tsigSecretSecretRef={"name": ""}),
    "a TSIG secret without name and key": with_rfc2136(
        tsigSecretSecretRef={"name": "", "key": ""}, tsigKeyName="", tsigAlgorithm=""
    ),
    "empty texts": an_issuer_body(email="", preferredChain="", profile="", caBundle="", skipTLSVerify=False),
    "nulls": an_issuer_body(email=None, caBundle=None, externalAccountBinding=None, preferredChain=None),
    "an empty Pod": with_solver(
        http01={"ingress": {"podTemplate": {"metadata": {}, "spec": {}}, "ingressTemplate": {"metadata": {}}}}
    ),
    "an Ingress without a name": with_solver(http01={"ingress": {"name": "", "serviceType": ""}}),
    "a registry's Secret without a name": with_solver(
        http01={"ingress": {"podTemplate": {"spec": {"imagePullSecrets": [{"name": ""}]}}}}
    ),
    "no time of creation": an_issuer_body()
    | {"metadata": {"name": "prod", "creationTimestamp": None}, "status": {}},
    "a name that the API server made up": an_issuer_body()
    | {"metadata": {"name": "prod", "generateName": "prod-"}},
    "cert-manager's default": an_issuer_body(renewalInformationSource="ARI"),
}
