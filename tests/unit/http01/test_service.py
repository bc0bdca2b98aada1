"""The Service and the EndpointSlices that lead to the responder, as NGINX needs them."""

from __future__ import annotations

from certmill.http01.ingress import challenge_path
from certmill.http01.service import FAMILIES, responder_service, responder_slice, slice_name


def test_the_service_has_no_selector_and_a_number_as_its_target_port():
    service = responder_service("shop", 8089)

    assert service["metadata"]["namespace"] == "shop"
    assert service["spec"]["type"] == "ClusterIP"
    assert "selector" not in service["spec"]
    assert [port["targetPort"] for port in service["spec"]["ports"]] == [8089]


def test_the_path_of_an_ingress_points_to_a_port_of_the_service_by_its_number():
    backend = challenge_path("token")["backend"]["service"]
    service = responder_service("shop", 9000)

    assert backend["name"] == service["metadata"]["name"]
    assert backend["port"] == {"number": service["spec"]["ports"][0]["port"]}


def test_a_slice_belongs_to_the_service_and_has_its_target_port():
    service, found = responder_service("shop", 9000), responder_slice("shop", ["10.0.0.1"], 9000)

    assert found["metadata"]["labels"]["kubernetes.io/service-name"] == service["metadata"]["name"]
    assert found["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "certmill"
    assert found["ports"] == [
        {"name": "http", "protocol": "TCP", "port": service["spec"]["ports"][0]["targetPort"]}
    ]
    assert found["ports"][0]["name"] == service["spec"]["ports"][0]["name"]


def test_every_endpoint_says_that_it_is_ready_once_and_in_one_order():
    found = responder_slice("shop", ["10.0.0.12", "10.0.0.2", "10.0.0.12"], 9000)

    assert found["endpoints"] == [
        {"addresses": ["10.0.0.2"], "conditions": {"ready": True}},
        {"addresses": ["10.0.0.12"], "conditions": {"ready": True}},
    ]


def test_each_family_has_a_slice_of_its_own():
    addresses = ["10.0.0.1", "2001:DB8::1"]
    found = [responder_slice("shop", addresses, 9000, family=family) for family in FAMILIES]

    assert [one["addressType"] for one in found] == ["IPv4", "IPv6"]
    assert [one["metadata"]["name"] for one in found] == [slice_name(family) for family in FAMILIES]
    assert [one["endpoints"][0]["addresses"] for one in found] == [["10.0.0.1"], ["2001:db8::1"]]


def test_a_slice_without_addresses_is_empty_and_still_there():
    assert responder_slice("shop", [], 9000)["endpoints"] == []


def test_what_is_no_ip_address_is_left_out_of_a_slice():
    """The responder's own Service may have a slice of host names (addressType FQDN)."""
    found = responder_slice("shop", ["responder.example.test", "", "10.0.0.1"], 9000)

    assert found["endpoints"] == [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}]
