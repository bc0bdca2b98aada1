"""Names of the annotations and labels that several packages read, on a Certificate and on the Secret with its
pair."""

from __future__ import annotations

from typing import Final

OVERRIDE_INGRESS_NAME: Final = "acme.cert-manager.io/http01-override-ingress-name"
"""On a Certificate: add the challenge's path to this existing Ingress."""

OVERRIDE_INGRESS_CLASS: Final = "acme.cert-manager.io/http01-override-ingress-class"
"""On a Certificate: the solver Ingress has this kubernetes.io/ingress.class."""

OVERRIDE_INGRESS_CLASS_NAME: Final = "acme.cert-manager.io/http01-override-ingress-ingressclassname"
"""On a Certificate: the solver Ingress has this ingressClassName."""

OVERRIDES: Final = (OVERRIDE_INGRESS_NAME, OVERRIDE_INGRESS_CLASS, OVERRIDE_INGRESS_CLASS_NAME)
"""At most one of these may be given. It replaces the class and the name in the issuer's solver."""

ISSUE_TEMPORARY_CERTIFICATE: Final = "cert-manager.io/issue-temporary-certificate"
"""On a Certificate: "true" stores a self-signed pair in the Secret until the real one is issued."""

CERTIFICATE_NAME: Final = "cert-manager.io/certificate-name"
"""On a Secret: the name of the Certificate that its pair belongs to."""

ISSUER_NAME: Final = "cert-manager.io/issuer-name"
ISSUER_KIND: Final = "cert-manager.io/issuer-kind"
ISSUER_GROUP: Final = "cert-manager.io/issuer-group"
"""On a Secret: the issuer of its pair, as in the Certificate's issuerRef. (On an Ingress, kind and group: of
the issuer that the Ingress asks for.)"""

FALLBACK_ISSUERS: Final = "certmill.io/fallback-issuers"
"""On a Certificate, or on an issuer for its Certificates: the issuers that may issue in place of the first
one, in order of preference (model.fallback_issuers)."""

CREATED_BY: Final = "certmill.io/created-by"
CREATED_BY_REQUEST: Final = "request"
"""On a Certificate from a request: requests may change it until a manifest is applied over it."""

MANAGED_LABEL: Final = "controller.cert-manager.io/fao"
"""On every Secret of a Certificate, with the value "true". The controller watches only Secrets with this
label."""
