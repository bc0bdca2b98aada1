"""cert-manager's annotations and labels that more than one part reads: on a Certificate, and on the Secret
with its pair."""

from __future__ import annotations

from typing import Final

OVERRIDE_INGRESS_NAME: Final = "acme.cert-manager.io/http01-override-ingress-name"
"""On a Certificate: put the challenge's path into this Ingress (edit in place)."""

OVERRIDE_INGRESS_CLASS: Final = "acme.cert-manager.io/http01-override-ingress-class"
"""On a Certificate: the solver Ingress has this kubernetes.io/ingress.class."""

OVERRIDE_INGRESS_CLASS_NAME: Final = "acme.cert-manager.io/http01-override-ingress-ingressclassname"
"""On a Certificate: the solver Ingress has this ingressClassName."""

OVERRIDES: Final = (OVERRIDE_INGRESS_NAME, OVERRIDE_INGRESS_CLASS, OVERRIDE_INGRESS_CLASS_NAME)
"""One at most may be given; it replaces the class and the name that the issuer's solver has."""

ISSUE_TEMPORARY_CERTIFICATE: Final = "cert-manager.io/issue-temporary-certificate"
"""On a Certificate: "true" keeps a self-signed pair in the Secret until the real one is there."""

CERTIFICATE_NAME: Final = "cert-manager.io/certificate-name"
"""On a Secret: the Certificate that its pair is for."""

ISSUER_NAME: Final = "cert-manager.io/issuer-name"
ISSUER_KIND: Final = "cert-manager.io/issuer-kind"
ISSUER_GROUP: Final = "cert-manager.io/issuer-group"
"""On a Secret: the issuer of its pair, as the Certificate names it. (On an Ingress, kind and group: of the
issuer that it wants.)"""

CREATED_BY: Final = "certmill.io/created-by"
CREATED_BY_REQUEST: Final = "request"
"""On a Certificate that a request made: requests may change it until a manifest is applied over it."""

MANAGED_LABEL: Final = "controller.cert-manager.io/fao"
"""On every Secret of a Certificate, "true": by it the controller sees those, and no others."""
