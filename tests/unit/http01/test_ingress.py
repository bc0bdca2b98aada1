"""An Ingress of our own for a challenge: the shape that NGINX takes, the class, the template."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.http01.ingress import solver_ingress, solver_ingress_name
from certmill.http01.route_choice import OwnIngress
from certmill.model.issuer import IngressTemplate
from tests.support.builders import a_certificate

WEB = replace(a_certificate(), uid="cert-uid")
LABEL = "acme.cert-manager.io/http01-solver"
WHITELIST = "nginx.ingress.kubernetes.io/whitelist-source-range"


def made(host="cert.example.com", certificate=WEB, **way):
    return solver_ingress(certificate, host, OwnIngress(**way), "a-token")


def test_it_has_the_label_one_rule_one_path_and_a_port_that_is_a_number():
    ingress = made()

    assert ingress["metadata"]["labels"][LABEL] == "true"
    assert ingress["spec"]["rules"] == [
        {
            "host": "cert.example.com",
            "http": {
                "paths": [
                    {
                        "path": "/.well-known/acme-challenge/a-token",
                        "pathType": "Exact",
                        "backend": {"service": {"name": "certmill-http01", "port": {"number": 8089}}},
                    }
                ]
            },
        }
    ]


def test_its_class_is_in_the_field_or_in_the_annotation_or_nowhere():
    by_field, by_annotation, without = made(ingress_class_name="nginx"), made(ingress_class="nginx"), made()
    annotation = "kubernetes.io/ingress.class"

    assert by_field["spec"]["ingressClassName"] == "nginx"
    assert annotation not in by_field["metadata"]["annotations"]
    assert by_annotation["metadata"]["annotations"][annotation] == "nginx"
    assert "ingressClassName" not in by_annotation["spec"]
    assert "ingressClassName" not in without["spec"]
    assert annotation not in without["metadata"]["annotations"]


def test_everybody_may_ask():
    assert made()["metadata"]["annotations"][WHITELIST] == "0.0.0.0/0,::/0"


@pytest.mark.parametrize("annotation", [WHITELIST, "haproxy.org/whitelist-source-range"])
def test_a_whitelist_of_the_template_takes_the_place_of_ours(annotation):
    annotations = made(template=IngressTemplate(annotations={annotation: "192.0.2.0/24"}))["metadata"][
        "annotations"
    ]

    assert {name: value for name, value in annotations.items() if "whitelist" in name} == {
        annotation: "192.0.2.0/24"
    }


def test_the_template_adds_labels_but_cannot_remove_what_nginx_needs():
    template = IngressTemplate(
        labels={"team": "shop", LABEL: "false"},
        annotations={"a/b": "c", "certmill.io/certificate-name": "other"},
    )
    metadata = made(template=template)["metadata"]

    assert metadata["labels"]["team"] == "shop"
    assert metadata["labels"][LABEL] == "true"
    assert metadata["annotations"]["a/b"] == "c"
    assert metadata["annotations"]["certmill.io/certificate-name"] == WEB.name


def test_an_ip_address_has_a_rule_without_a_host():
    (rule,), (of_name,) = (made(host)["spec"]["rules"] for host in ("192.0.2.1", "cert.example.com"))

    assert rule == {"http": of_name["http"]}


def test_it_goes_with_its_certificate():
    assert made()["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "name": WEB.name,
            "uid": "cert-uid",
            "controller": True,
        }
    ]
    assert "ownerReferences" not in made(certificate=replace(WEB, uid=""))["metadata"]


def test_a_certificate_has_one_ingress_for_a_name_always_the_same():
    other = replace(WEB, name="other")
    hosts = ("a.example.com", "b.example.com")
    names = {made(host, certificate)["metadata"]["name"] for certificate in (WEB, other) for host in hosts}

    assert made() == made()
    assert len(names) == 4
    assert all(name.startswith("cm-acme-http-solver-") and len(name) < 63 for name in names)
    assert solver_ingress_name(WEB.id, "a.example.com") in names
