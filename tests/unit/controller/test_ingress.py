"""An Ingress and its annotations (cert-manager's ingress-shim): what becomes of each."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.controller.ingress import DefaultIssuer, desired_by
from tests.unit.controller.objects import Api, an_ingress, is_empty, told

PREFIX = "cert-manager.io/"
OVERRIDE = "acme.cert-manager.io/http01-override-"


def certificate(*, annotations=None, **ingress):
    (one,) = desired_by(an_ingress(annotations=annotations, **ingress)).desired
    return one.document


def spec(**annotations):
    """The spec for these annotations, without their prefix and with _ for -."""
    return certificate(
        annotations={PREFIX + name.replace("_", "-"): value for name, value in annotations.items()}
    )["spec"]


def events(desired):
    return [(event.type, event.reason, event.message) for event in desired.events]


def only_warning(ingress, default=None):
    desired = desired_by(ingress, default) if default else desired_by(ingress)
    assert desired.desired == ()
    assert desired.secret_names is None
    ((kind, reason, message),) = events(desired)
    assert (kind, reason) == ("Warning", "BadConfig")
    return message


def test_the_tutorials_ingress_asks_for_one_certificate():
    assert certificate() == {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {
            "name": "cafe-secret",
            "namespace": "shop",
            "ownerReferences": [
                {
                    "apiVersion": "networking.k8s.io/v1",
                    "kind": "Ingress",
                    "name": "cafe-ingress",
                    "uid": "ingress-uid",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "secretName": "cafe-secret",
            "dnsNames": ["cert.example.com"],
            "issuerRef": {"name": "prod-issuer", "kind": "ClusterIssuer", "group": "cert-manager.io"},
            "usages": ["digital signature", "key encipherment"],
        },
    }


def test_each_tls_entry_is_a_certificate_of_its_own():
    tls = [
        {"hosts": ["a.example.com", "b.example.com"], "secretName": "one"},
        {"hosts": ["*.c.example.com"], "secretName": "two"},
    ]
    found = {one.name: one.document["spec"]["dnsNames"] for one in desired_by(an_ingress(tls=tls)).desired}

    assert found == {"one": ["a.example.com", "b.example.com"], "two": ["*.c.example.com"]}


def test_ip_addresses_among_hosts_go_to_ip_addresses_and_a_repeated_host_counts_once():
    found = certificate(
        tls=[{"hosts": ["192.0.2.1", "a.test", "2001:db8::1", "a.test"], "secretName": "one"}]
    )["spec"]

    assert found["dnsNames"] == ["a.test"]
    assert found["ipAddresses"] == ["192.0.2.1", "2001:db8::1"]


def test_labels_are_copied_but_for_an_applysets():
    labels = {"team": "shop", "applyset.kubernetes.io/part-of": "applyset-x"}

    assert certificate(labels=labels)["metadata"]["labels"] == {"team": "shop"}


def test_an_ingress_without_an_annotation_that_asks_gets_nothing_done():
    api = Api()
    api.apply(desired_by(an_ingress()))

    assert is_empty(api.plan(desired_by(an_ingress(annotations={"cert-manager.io/cluster-issuer": None}))))


@pytest.mark.parametrize(
    "going", [{"deletionTimestamp": "2026-11-26T00:00:00Z"}, {"finalizers": ["foregroundDeletion"]}]
)
def test_an_ingress_that_is_being_deleted_gets_nothing_done(going):
    desired = desired_by(an_ingress(**going))

    assert desired.desired == ()
    assert desired.secret_names is None


# --- the issuer ---


@pytest.mark.parametrize(
    ("annotations", "reference"),
    [
        ({"issuer": "a"}, {"name": "a", "kind": "Issuer", "group": "cert-manager.io"}),
        ({"cluster-issuer": "b"}, {"name": "b", "kind": "ClusterIssuer", "group": "cert-manager.io"}),
        (
            {"issuer": "a", "issuer-kind": "AWSPCAIssuer", "issuer-group": "awspca.cert-manager.io"},
            {"name": "a", "kind": "AWSPCAIssuer", "group": "awspca.cert-manager.io"},
        ),
    ],
)
def test_the_issuer_is_the_one_that_is_named(annotations, reference):
    asked = {f"{PREFIX}cluster-issuer": None} | {PREFIX + name: value for name, value in annotations.items()}

    assert certificate(annotations=asked)["spec"]["issuerRef"] == reference


@pytest.mark.parametrize("other", ["issuer", "issuer-group", "issuer-kind"])
def test_a_cluster_issuer_conflicts_with_an_issuer_a_kind_and_a_group(other):
    message = only_warning(an_ingress(annotations={PREFIX + other: "x"}))

    assert message.startswith("Could not determine issuer for ingress due to bad annotations: both ")
    assert '"cert-manager.io/cluster-issuer"' in message
    assert f'"{PREFIX}{other}"' in message
    assert message.endswith(" may not be set")


def test_an_issuer_without_a_name_is_bad_config():
    message = only_warning(an_ingress(annotations={f"{PREFIX}cluster-issuer": ""}))

    assert message.endswith(
        "bad annotations: failed to determine issuer name to be used for ingress resource"
    )


@pytest.mark.parametrize("value", ["true", "1", "T"])
def test_tls_acme_asks_with_the_default_issuer(value):
    ingress = an_ingress(annotations={f"{PREFIX}cluster-issuer": None, "kubernetes.io/tls-acme": value})
    (one,) = desired_by(ingress, DefaultIssuer(name="prod", kind="ClusterIssuer")).desired

    assert one.document["spec"]["issuerRef"] == {
        "name": "prod",
        "kind": "ClusterIssuer",
        "group": "cert-manager.io",
    }


def test_tls_acme_without_a_default_issuer_is_bad_config():
    message = only_warning(
        an_ingress(annotations={f"{PREFIX}cluster-issuer": None, "kubernetes.io/tls-acme": "true"})
    )

    assert "failed to determine issuer name" in message


@pytest.mark.parametrize("value", ["false", "yes", ""])
def test_tls_acme_that_is_not_true_asks_for_nothing(value):
    ingress = an_ingress(annotations={f"{PREFIX}cluster-issuer": None, "kubernetes.io/tls-acme": value})

    assert desired_by(ingress, DefaultIssuer(name="prod")).desired == ()


def test_an_issuer_that_is_named_goes_over_the_default_one():
    (one,) = desired_by(an_ingress(), DefaultIssuer(name="other", kind="Issuer")).desired

    assert one.document["spec"]["issuerRef"]["name"] == "prod-issuer"


# --- the entries of spec.tls ---


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"secretName": "x"}, "spec.tls[0].hosts: Required value"),
        ({"hosts": ["a.test"]}, "spec.tls[0].secretName: Required value"),
        ({}, "[spec.tls[0].hosts: Required value, spec.tls[0].secretName: Required value]"),
    ],
)
def test_an_entry_without_hosts_or_secret_is_skipped_with_an_event(entry, message):
    desired = desired_by(an_ingress(tls=[entry, {"hosts": ["b.test"], "secretName": "good"}]))

    assert [one.name for one in desired.desired] == ["good"]
    assert events(desired) == [("Warning", "BadConfig", f"Skipped a TLS block: {message}")]


def test_the_certificate_of_an_entry_that_is_skipped_now_is_kept():
    api = Api()
    api.apply(desired_by(an_ingress()))

    assert is_empty(api.plan(desired_by(an_ingress(tls=[{"secretName": "cafe-secret"}]))))


def test_one_secret_in_two_entries_is_bad_config_and_nothing_is_done():
    tls = [
        {"hosts": ["a.test"], "secretName": "one"},
        {"hosts": ["b.test"], "secretName": "one"},
        {"hosts": ["c.test"], "secretName": "two"},
    ]

    assert only_warning(an_ingress(tls=tls)) == (
        'spec.tls[0].secretName: Invalid value: "one": this secret name must only appear in a single TLS '
        "entry "
        "but is also used in spec.tls[1].secretName"
    )


def test_two_entries_without_a_secret_are_both_skipped():
    desired = desired_by(
        an_ingress(
            tls=[{"hosts": ["a.test"]}, {"hosts": ["b.test"]}, {"hosts": ["c.test"], "secretName": "two"}]
        )
    )

    assert [one.name for one in desired.desired] == ["two"]
    assert len(desired.events) == 2


# --- the annotations, one by one ---


@pytest.mark.parametrize(
    ("annotation", "value", "field", "expected"),
    [
        ("common_name", "cert.example.com", "commonName", "cert.example.com"),
        ("duration", "2160h", "duration", "2160h0m0s"),
        ("renew_before", "90m", "renewBefore", "1h30m0s"),
        ("renew_before_percentage", "25", "renewBeforePercentage", 25),
        ("usages", "server auth, client auth", "usages", ["server auth", "client auth"]),
        ("revision_history_limit", "7", "revisionHistoryLimit", 7),
        ("private_key_algorithm", "ECDSA", "privateKey", {"algorithm": "ECDSA"}),
        ("private_key_encoding", "PKCS8", "privateKey", {"encoding": "PKCS8"}),
        ("private_key_size", "4096", "privateKey", {"size": 4096}),
        ("private_key_rotation_policy", "Never", "privateKey", {"rotationPolicy": "Never"}),
        ("alt_names", "b.example.com, cert.example.com", "dnsNames", ["cert.example.com", "b.example.com"]),
        ("ip_sans", "192.0.2.1, 2001:db8::1", "ipAddresses", ["192.0.2.1", "2001:db8::1"]),
        ("email_sans", "a@example.com, b@example.com", "emailAddresses", ["a@example.com", "b@example.com"]),
        ("subject_organizations", 'Cafe,"Tea, Inc."', "subject", {"organizations": ["Cafe", "Tea, Inc."]}),
        ("subject_organizationalunits", "a,b", "subject", {"organizationalUnits": ["a", "b"]}),
        ("subject_countries", "AT,CH", "subject", {"countries": ["AT", "CH"]}),
        ("subject_provinces", "Wien", "subject", {"provinces": ["Wien"]}),
        ("subject_localities", "Wien", "subject", {"localities": ["Wien"]}),
        ("subject_postalcodes", "1010", "subject", {"postalCodes": ["1010"]}),
        ("subject_streetaddresses", '"1 Ring, Wien"', "subject", {"streetAddresses": ["1 Ring, Wien"]}),
        ("subject_serialnumber", "123", "subject", {"serialNumber": "123"}),
        (
            "secret_template",
            '{"labels": {"team": "shop"}, "annotations": {"a/b": "c"}}',
            "secretTemplate",
            {"labels": {"team": "shop"}, "annotations": {"a/b": "c"}},
        ),
    ],
)
def test_each_annotation_sets_its_field(annotation, value, field, expected):
    assert spec(**{annotation: value})[field] == expected


def test_annotations_of_the_key_and_of_the_subject_come_together():
    found = spec(
        private_key_algorithm="ECDSA",
        private_key_size="384",
        subject_countries="AT",
        subject_provinces="Wien",
    )

    assert found["privateKey"] == {"algorithm": "ECDSA", "size": 384}
    assert found["subject"] == {"countries": ["AT"], "provinces": ["Wien"]}


@pytest.mark.parametrize("annotation", ["alt_names", "ip_sans", "email_sans", "common_name"])
def test_an_empty_list_of_names_is_none(annotation):
    assert spec(**{annotation: ""}) == spec()


@pytest.mark.parametrize("template", ["{}", '{"labels": {}}', '{"annotations": null}'])
def test_an_empty_secret_template_is_none(template):
    assert "secretTemplate" not in spec(secret_template=template)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("common-name", "x" * 65),
        ("common-name", "two\nlines"),
        ("alt-names", "good.example.com,not a name"),
        ("alt-names", "a.example.com,,b.example.com"),
        ("ip-sans", "192.0.2.300"),
        ("email-sans", "Some One <a@example.com>"),
        ("duration", "90d"),
        ("duration", "59m"),
        ("duration", ""),
        ("renew-before", "4m"),
        ("renew-before", "soon"),
        ("renew-before", "2160h"),
        ("renew-before-percentage", "100"),
        ("renew-before-percentage", "a third"),
        ("usages", "server auth,telepathy"),
        ("usages", ""),
        ("revision-history-limit", "0"),
        ("revision-history-limit", "seven"),
        ("revision-history-limit", "99999999999"),
        ("private-key-algorithm", "DSA"),
        ("private-key-algorithm", "rsa"),
        ("private-key-encoding", "PKCS12"),
        ("private-key-size", "1024"),
        ("private-key-size", "big"),
        ("private-key-rotation-policy", "Sometimes"),
        ("subject-organizations", ""),
        ("subject-organizations", '"open'),
        ("subject-countries", "AT\nCH"),
        ("subject-serialnumber", "1\x002"),
        ("secret-template", "not JSON"),
        ("secret-template", "[" * 100_000),
        ("secret-template", "[]"),
        ("secret-template", '{"labels": {}, "type": "Opaque"}'),
        ("secret-template", '{"labels": {"a": 1}}'),
        ("secret-template", '{"labels": {"a": "not a label!"}}'),
        ("secret-template", '{"labels": {}} and more'),
        ("secret-template", '{"annotations": {"cert-manager.io/x": "y"}}'),
    ],
)
def test_a_bad_value_is_bad_config_that_names_the_annotation(annotation, value):
    message = only_warning(an_ingress(annotations={PREFIX + annotation: value}))

    assert message.startswith(f'invalid ingress annotation "{PREFIX}{annotation}": ')
    assert len(message) < 1000


@pytest.mark.parametrize(
    ("first", "second", "blamed"),
    [
        (("private-key-algorithm", "ECDSA"), ("private-key-size", "2048"), "private-key-size"),
        (("duration", "24h"), ("renew-before", "24h"), "renew-before"),
        (("renew-before", "24h"), ("renew-before-percentage", "30"), "renew-before"),
    ],
)
def test_values_that_do_not_go_together_are_bad_config(first, second, blamed):
    message = only_warning(an_ingress(annotations={PREFIX + name: value for name, value in (first, second)}))

    assert message.startswith(f'invalid ingress annotation "{PREFIX}{blamed}": ')


def test_the_size_of_an_ed25519_key_is_nobodys_business():
    assert spec(private_key_algorithm="Ed25519", private_key_size="99")["privateKey"] == {
        "algorithm": "Ed25519",
        "size": 99,
    }


def test_every_bad_annotation_is_reported_at_once():
    desired = desired_by(an_ingress(annotations={f"{PREFIX}duration": "x", f"{PREFIX}usages": "y"}))

    assert [event.message.split('"')[1] for event in desired.events] == [
        f"{PREFIX}duration",
        f"{PREFIX}usages",
    ]


def test_more_names_than_a_certificate_can_have_are_bad_config_and_are_not_even_read():
    names = ",".join(f"a{number}.example.com" for number in range(101))

    message = only_warning(an_ingress(annotations={f"{PREFIX}alt-names": names}))

    assert message == 'invalid ingress annotation "cert-manager.io/alt-names": has 101 values, 100 at most'


def test_more_entries_than_anybody_has_are_bad_config_and_none_of_them_is_made():
    tls = [{"hosts": ["a.example.com"], "secretName": f"s{number}"} for number in range(1001)]

    assert (
        only_warning(an_ingress(tls=tls)) == "spec.tls has 1001 entries, 1000 at most: make several Ingresses"
    )


def test_labels_and_annotations_whose_copies_would_take_gigabytes_are_bad_config():
    tls = [{"hosts": ["a.example.com"], "secretName": f"s{number}"} for number in range(100)]
    large = {f"{PREFIX}secret-template": json.dumps({"annotations": {"note": "x" * 100_000}})}

    message = only_warning(an_ingress(annotations=large, tls=tls))

    assert message.startswith("the 100 Certificates of spec.tls would repeat ")
    assert message.endswith("make the labels and annotations smaller, or make several Ingresses")
    assert len(desired_by(an_ingress(annotations=large)).desired) == 1


def test_bad_config_deletes_nothing():
    api = Api()
    api.apply(desired_by(an_ingress()))

    assert is_empty(api.plan(desired_by(an_ingress(annotations={f"{PREFIX}duration": "x"}, tls=[]))))


@given(
    st.dictionaries(
        st.sampled_from(["usages", "secret-template", "subject-countries", "duration", "alt-names"]),
        st.text(max_size=40),
    )
)
def test_no_value_of_an_annotation_is_an_error_of_ours(annotations):
    desired = desired_by(
        an_ingress(annotations={PREFIX + name: value for name, value in annotations.items()})
    )

    assert bool(desired.desired) is not bool(desired.events)


# --- the way of HTTP-01 challenges ---


def annotations_for(**annotations):
    names = {
        "edit": "http01-edit-in-place",
        "class_": "http01-ingress-class",
        "class_name": "http01-ingress-ingressclassname",
    }
    asked = {f"acme.cert-manager.io/{names[name]}": value for name, value in annotations.items()}
    return certificate(annotations=asked)["metadata"].get("annotations")


def test_edit_in_place_names_the_ingress_and_asks_for_a_temporary_certificate():
    assert annotations_for(edit="true") == {
        f"{OVERRIDE}ingress-name": "cafe-ingress",
        "cert-manager.io/issue-temporary-certificate": "true",
    }


@pytest.mark.parametrize("value", ["True", "1", "yes", "false", ""])
def test_only_the_exact_word_true_edits_in_place(value):
    assert annotations_for(edit=value) is None


def test_the_class_for_challenges_is_carried_to_the_certificate():
    assert annotations_for(class_="traefik") == {f"{OVERRIDE}ingress-class": "traefik"}
    assert annotations_for(class_name="nginx") == {f"{OVERRIDE}ingress-ingressclassname": "nginx"}
    assert annotations_for(class_="", class_name="") is None


def test_the_annotation_for_a_temporary_certificate_is_copied():
    name = "cert-manager.io/issue-temporary-certificate"

    assert certificate(annotations={name: "true"})["metadata"]["annotations"] == {name: "true"}
    assert "annotations" not in certificate(annotations={name: "false"})["metadata"]


def test_edit_in_place_that_is_added_later_reaches_the_certificate():
    api = Api()
    api.apply(desired_by(an_ingress()))
    api.edit("cafe-secret", lambda document: document["metadata"].update(annotations={"note": "mine"}))
    todo = api.apply(
        desired_by(an_ingress(annotations={"acme.cert-manager.io/http01-edit-in-place": "true"}))
    )

    assert [event[1] for event in told(todo)] == ["UpdateCertificate"]
    assert api.documents["cafe-secret"]["metadata"]["annotations"] == {
        "note": "mine",
        f"{OVERRIDE}ingress-name": "cafe-ingress",
        "cert-manager.io/issue-temporary-certificate": "true",
    }


def test_edit_in_place_that_is_taken_away_leaves_the_certificate_too():
    api = Api()
    api.apply(desired_by(an_ingress(annotations={"acme.cert-manager.io/http01-edit-in-place": "true"})))
    api.edit("cafe-secret", lambda document: document["metadata"]["annotations"].update(note="mine"))
    api.apply(desired_by(an_ingress(annotations={"acme.cert-manager.io/http01-ingress-class": "nginx"})))

    assert api.documents["cafe-secret"]["metadata"]["annotations"] == {
        "note": "mine",
        f"{OVERRIDE}ingress-class": "nginx",
    }


# --- what is an update ---

CHANGES = {
    "labels": lambda ingress: ingress["metadata"].update(labels={"team": "other"}),
    "the common name": lambda ingress: annotate(ingress, "common-name", "cert.example.com"),
    "the names": lambda ingress: ingress["spec"]["tls"][0]["hosts"].append("b.example.com"),
    "the issuer's name": lambda ingress: annotate(ingress, "cluster-issuer", "other"),
    "the limit of revisions": lambda ingress: annotate(ingress, "revision-history-limit", "3"),
    "the key's algorithm": lambda ingress: annotate(ingress, "private-key-algorithm", "ECDSA"),
    "the key's encoding": lambda ingress: annotate(ingress, "private-key-encoding", "PKCS8"),
    "the key's size": lambda ingress: annotate(ingress, "private-key-size", "4096"),
    "the key's rotation": lambda ingress: annotate(ingress, "private-key-rotation-policy", "Never"),
    "the duration": lambda ingress: annotate(ingress, "duration", "24h"),
    "the time of renewal": lambda ingress: annotate(ingress, "renew-before", "24h"),
}


def annotate(ingress, name, value):
    ingress["metadata"]["annotations"][PREFIX + name] = value


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_of_what_is_compared_is_an_update(change):
    api = Api()
    api.apply(desired_by(an_ingress()))
    ingress = copy.deepcopy(an_ingress())
    change(ingress)

    assert [write.name for write in api.apply(desired_by(ingress)).update] == ["cafe-secret"]
    assert is_empty(api.plan(desired_by(ingress)))


def test_another_kind_of_issuer_is_an_update():
    api = Api()
    api.apply(desired_by(an_ingress()))
    ingress = an_ingress(annotations={f"{PREFIX}cluster-issuer": None, f"{PREFIX}issuer": "prod-issuer"})

    assert [
        write.document["spec"]["issuerRef"]["kind"] for write in api.plan(desired_by(ingress)).update
    ] == ["Issuer"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ip-sans", "192.0.2.1"),
        ("email-sans", "a@example.com"),
        ("usages", "server auth"),
        ("subject-countries", "AT"),
        ("renew-before-percentage", "20"),
        ("secret-template", '{"labels": {"a": "b"}}'),
        ("issuer-group", "cert-manager.io"),
    ],
)
def test_what_is_not_compared_is_no_update_by_itself(name, value):
    ask = {f"{PREFIX}cluster-issuer": None, f"{PREFIX}issuer": "prod-issuer"}
    api = Api()
    api.apply(desired_by(an_ingress(annotations=ask)))

    assert is_empty(api.plan(desired_by(an_ingress(annotations=ask | {PREFIX + name: value}))))


def test_one_duration_written_two_ways_is_no_update():
    ingress = desired_by(an_ingress(annotations={f"{PREFIX}duration": "24h", f"{PREFIX}renew-before": "90m"}))
    api = Api()
    api.apply(ingress)
    api.edit("cafe-secret", lambda document: document["spec"].update(duration="1440m", renewBefore="1.5h"))

    assert is_empty(api.plan(ingress))
