"""Objects as `certmill get -o yaml` writes them."""

from __future__ import annotations

from certmill.model.issuer import Http01Solver, IngressTemplate, Solver
from certmill.model.status import IssuerStatus
from certmill.views.objects import issuer_object
from tests.support.builders import an_issuer


def solvers(**http01):
    issuer = an_issuer(solvers=(Solver(http01=Http01Solver(**http01)),))
    return issuer_object(issuer, IssuerStatus(), None)["spec"]["acme"]["solvers"]


def test_the_template_of_an_ingress_is_shown_as_it_is_written():
    template = IngressTemplate(labels={"team": "shop"}, annotations={"a/b": "c"})

    assert solvers(ingress_class="nginx", ingress_template=template) == [
        {
            "http01": {
                "ingress": {
                    "class": "nginx",
                    "ingressTemplate": {
                        "metadata": {"annotations": {"a/b": "c"}, "labels": {"team": "shop"}}
                    },
                }
            }
        }
    ]


def test_a_solver_without_a_template_shows_none():
    assert solvers() == [{"http01": {"ingress": {}}}]
