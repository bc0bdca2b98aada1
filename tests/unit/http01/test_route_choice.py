"""Which way a challenge takes to the responder in a cluster."""

from __future__ import annotations

import pytest

from certmill.errors import SolverMisconfigured
from certmill.http01.route_choice import EditIngress, OwnIngress, choose_route
from certmill.model.issuer import Http01Solver, IngressTemplate

NAME = "acme.cert-manager.io/http01-override-ingress-name"
CLASS = "acme.cert-manager.io/http01-override-ingress-class"
CLASS_NAME = "acme.cert-manager.io/http01-override-ingress-ingressclassname"


@pytest.mark.parametrize(
    ("solver", "expected"),
    [
        (Http01Solver(), OwnIngress()),
        (Http01Solver(ingress_class="nginx"), OwnIngress(ingress_class="nginx")),
        (Http01Solver(ingress_class_name="nginx"), OwnIngress(ingress_class_name="nginx")),
        (Http01Solver(ingress_name="cafe-ingress"), EditIngress(name="cafe-ingress")),
    ],
)
def test_the_solver_says_the_way(solver, expected):
    assert choose_route(solver, {"other": "annotation"}) == expected


@pytest.mark.parametrize(
    "solver", [Http01Solver(), Http01Solver(ingress_class="a"), Http01Solver(ingress_name="b")]
)
@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (NAME, EditIngress(name="mine")),
        (CLASS, OwnIngress(ingress_class="mine")),
        (CLASS_NAME, OwnIngress(ingress_class_name="mine")),
    ],
)
def test_an_annotation_of_the_certificate_goes_over_all_that_the_solver_says(solver, annotation, expected):
    assert choose_route(solver, {annotation: "mine"}) == expected


@pytest.mark.parametrize(
    "pair", [(NAME, CLASS), (NAME, CLASS_NAME), (CLASS, CLASS_NAME), (NAME, CLASS, CLASS_NAME)]
)
def test_two_annotations_at_once_are_a_misconfiguration_that_names_them(pair):
    with pytest.raises(SolverMisconfigured) as raised:
        choose_route(Http01Solver(), dict.fromkeys(pair, "x"))

    assert all(annotation in str(raised.value) for annotation in pair)


def test_an_empty_annotation_is_none():
    assert choose_route(Http01Solver(ingress_class="nginx"), {NAME: "", CLASS_NAME: ""}) == OwnIngress(
        ingress_class="nginx"
    )


@pytest.mark.parametrize("annotation", [NAME, CLASS_NAME])
def test_a_name_that_no_object_can_have_is_a_misconfiguration(annotation):
    with pytest.raises(SolverMisconfigured, match="not a valid object name"):
        choose_route(Http01Solver(), {annotation: "../../secrets"})


def test_the_template_goes_to_an_ingress_of_our_own_and_not_to_the_users():
    template = IngressTemplate(labels={"a": "b"})

    assert choose_route(Http01Solver(ingress_template=template), {CLASS: "nginx"}) == OwnIngress(
        ingress_class="nginx", template=template
    )
    assert choose_route(Http01Solver(ingress_template=template), {NAME: "x"}) == EditIngress(name="x")
