"""Annotations that more than one floor reads: what a Certificate says about the way of its HTTP-01 challenges (cert-manager's names)."""

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
