"""Each process may do what it does, and no more: asked of the API server's own RBAC, and done with the
process's own code and token."""

from __future__ import annotations

import secrets

import pytest

from certmill.clock import SystemClock
from certmill.controller.leader import Leadership
from certmill.errors import Forbidden
from certmill.home.installation import of_cluster
from certmill.home.kubernetes.events import KubernetesEvents
from certmill.home.kubernetes.home import KubernetesHome
from certmill.http01.kubernetes_routes import KubernetesRoutes, ResponderAddresses
from certmill.kube.client import KubeClient
from certmill.kube.connection import connect
from certmill.kube.resources import CERTIFICATES, SECRETS
from certmill.model.issuer import Http01Solver
from certmill.model.manifests.parse import parse_certificate
from certmill.model.names import certificate_id
from certmill.model.object_ref import ObjectRef
from certmill.model.secret import TLS_TYPE, Secret
from certmill.model.status import CertificateStatus, Condition, IssuerStatus
from compose.servers.cluster.kubernetes import SERVICE_ACCOUNT
from tests.controller.watching import watching
from tests.support.chart import as_account, containers, environment, grant, listed, rendered, right_to
from tests.support.cluster import is_allowed, make_namespace
from tests.support.waiting import until

WRITES = ("create", "update", "patch", "delete", "deletecollection")
READS = ("get", "list", "watch")
# Everybody may ask these who he is, and what he may do.
ABOUT_ONESELF = ("authorization.k8s.io", "authentication.k8s.io")
PROCESSES = ("controller", "worker", "beat", "responder", "flower", "valkey")


class Installed:
    """The chart's accounts and roles on the server."""

    def __init__(self, kube, directory, values):
        self.kube = kube
        self.release = f"certmill-{secrets.token_hex(3)}"
        self.namespace, self.inside, self.outside = (
            f"{kind}-{secrets.token_hex(3)}" for kind in ("own", "in", "out")
        )
        for name in (self.namespace, self.inside, self.outside):
            make_namespace(kube, name)
        values = values(self) if callable(values) else values
        self.objects = rendered(directory, values, release=self.release, namespace=self.namespace)
        grant(kube, self.objects)

    @property
    def lease(self):
        """The controller's, by the name that its own settings have."""
        return environment(containers(self.objects)["controller"])["CERTMILL_LEASE_NAME"]

    def account(self, process):
        return f"{self.release}-{process}"

    def client(self, process):
        """A client with this process's own token, as it has in its Pod."""
        user = f"{SERVICE_ACCOUNT}{self.namespace}:{self.account(process)}"
        return KubeClient(connect(kubeconfig=self.kube.kubeconfig(user)))

    def api(self, process):
        return as_account(self.kube, self.namespace, self.account(process))

    def may(self, process, verb, resource, namespace="", name=""):
        """What RBAC says (SubjectAccessReview) of `group/resource` or `group/resource/subresource`."""
        groups = (
            "system:serviceaccounts",
            f"system:serviceaccounts:{self.namespace}",
            "system:authenticated",
        )
        user = f"{SERVICE_ACCOUNT}{self.namespace}:{self.account(process)}"
        return is_allowed(self.kube, user, right_to(verb, resource, namespace, name), groups)


@pytest.fixture(scope="module")
def everywhere(kube, helm_program, tmp_path_factory):
    """Installed with default values."""
    return Installed(kube, tmp_path_factory.mktemp("everywhere"), {})


@pytest.fixture(scope="module")
def somewhere(kube, helm_program, tmp_path_factory):
    """Installed for one namespace."""
    return Installed(kube, tmp_path_factory.mktemp("somewhere"), lambda installed: listed(installed.inside))


@pytest.fixture(params=["everywhere", "somewhere"])
def installed(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def resources(kube):
    """Every resource and subresource that the server has, as group/plural, and whether it is in a
    namespace."""
    api = kube.api
    groups = [("", "/api/v1")]
    groups += [
        (group["name"], f"/apis/{group['preferredVersion']['groupVersion']}")
        for group in api.request("GET", "/apis").body["groups"]
    ]
    found = {
        f"{group}/{resource['name']}": resource["namespaced"]
        for group, path in groups
        for resource in api.request("GET", path).body.get(
            "resources", ()
        )  # a group whose CRDs another test has removed may have none
    }
    assert len(found) > 80
    return {name: namespaced for name, namespaced in found.items() if name.split("/")[0] not in ABOUT_ONESELF}


def rules(objects):
    return [(one, rule) for one in objects if one["kind"] in ("Role", "ClusterRole") for rule in one["rules"]]


def allowed(installed, process, verbs, resources, namespace):
    found = set()
    for resource, namespaced in resources.items():
        found |= {
            (verb, resource)
            for verb in verbs
            if installed.may(process, verb, resource, namespace if namespaced else "")
        }
    return found


# -- nobody
# ------------------------------------------------------------


def test_no_role_can_create_pods_or_what_makes_pods(installed):
    """Nor give itself more rights, nor act as somebody else."""
    for one, rule in rules(installed.objects):
        named = {
            "*",
            "pods",
            "pods/exec",
            "pods/ephemeralcontainers",
            "replicationcontrollers",
            "serviceaccounts/token",
        }
        assert not named & set(rule["resources"]), one["metadata"]["name"]
        assert not {"*", "apps", "batch", "rbac.authorization.k8s.io"} & set(rule["apiGroups"]), one[
            "metadata"
        ]["name"]
        assert not {"*", "escalate", "bind", "impersonate", "approve", "sign"} & set(rule["verbs"]), one[
            "metadata"
        ]["name"]


@pytest.mark.parametrize("process", PROCESSES)
def test_no_process_can_create_a_pod(everywhere, process):
    for namespace in (everywhere.namespace, everywhere.inside, ""):
        assert not everywhere.may(process, "create", "/pods", namespace)
    pod = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    assert (
        everywhere.api(process).request("POST", f"/api/v1/namespaces/{everywhere.inside}/pods", pod).status
        == 403
    )


@pytest.mark.parametrize("process", ["beat", "responder", "flower", "valkey"])
def test_processes_that_do_not_use_the_api_server_have_no_rights_in_it(everywhere, resources, process):
    assert allowed(everywhere, process, (*READS, *WRITES), resources, everywhere.namespace) == set()


# -- the controller
# ------------------------------------------------------------


def test_the_controller_writes_nothing_but_its_lease(installed, resources):
    assert allowed(installed, "controller", WRITES, resources, installed.inside) == set()
    assert allowed(installed, "controller", WRITES, resources, installed.outside) == set()
    assert allowed(installed, "controller", WRITES, resources, installed.namespace) == {
        ("create", "coordination.k8s.io/leases")
    }
    assert installed.may(
        "controller", "update", "coordination.k8s.io/leases", installed.namespace, installed.lease
    )
    assert not installed.may(
        "controller", "update", "coordination.k8s.io/leases", installed.namespace, "kube-scheduler"
    )


def test_the_controller_leads_with_its_own_rights(installed):
    client = installed.client("controller")
    leadership = Leadership(
        client, namespace=installed.namespace, name=installed.lease, identity="one", clock=SystemClock()
    )

    assert leadership.contend()
    assert leadership.contend()
    leadership.give_up()


@pytest.mark.parametrize(("home", "namespaces"), [("everywhere", False), ("somewhere", True)])
def test_the_controller_sees_what_it_watches_with_its_own_rights(request, home, namespaces):
    installed = request.getfixturevalue(home)
    seen = []
    with watching(installed.client("controller"), (installed.inside,) if namespaces else ()) as controller:
        until(lambda: controller.synced, what="everything is listed")
        controller.adopt_ready(lambda certificates: None)
        certificate = certificate_body(installed.inside, "seen")
        elsewhere = certificate_body(installed.outside, "seen")
        for body in (elsewhere, certificate):
            installed.kube.api.apply(
                f"/apis/cert-manager.io/v1/namespaces/{body['metadata']['namespace']}/certificates/seen", body
            )

        def is_seen():
            seen.extend((look.namespace, look.name) for look in controller.take(10, seconds=0.2))
            return (installed.inside, "seen") in seen

        until(is_seen, what=lambda: str(seen))
    if namespaces:
        assert (installed.outside, "seen") not in seen


def test_without_the_list_a_controller_of_some_namespaces_would_be_refused(somewhere):
    with pytest.raises(Forbidden, match="see the roles of certmill's chart"):
        somewhere.client("controller").list(SECRETS, labels="a=b", metadata_only=True)


# -- the worker
# ------------------------------------------------------------


def test_the_worker_writes_only_what_it_is_there_for(installed, resources):
    writes = allowed(installed, "worker", WRITES, resources, installed.inside)
    known = {resource for resource in resources if "k8s.nginx.org" not in resource}

    assert {resource for _, resource in writes} <= {
        "cert-manager.io/certificates",
        "cert-manager.io/certificates/status",
        "cert-manager.io/issuers/status",
        "cert-manager.io/clusterissuers/status",
        "/secrets",
        "networking.k8s.io/ingresses",
        "/services",
        "discovery.k8s.io/endpointslices",
        "/events",
    } & known
    assert ("update", "/secrets") not in writes
    assert ("delete", "/secrets") not in writes
    assert not any(verb == "deletecollection" for verb, _ in writes)


def test_the_worker_never_lists_secrets(installed, resources):
    reads = allowed(installed, "worker", READS, resources, installed.inside)

    assert ("get", "/secrets") in reads
    assert not {("list", "/secrets"), ("watch", "/secrets")} & reads
    assert not any(verb == "watch" for verb, _ in reads)


def test_with_a_list_of_namespaces_the_worker_reaches_no_secret_outside_it(somewhere, resources):
    for verb in (*READS, *WRITES):
        assert not somewhere.may("worker", verb, "/secrets", somewhere.outside)
        assert not somewhere.may("worker", verb, "/secrets", "")
    assert {
        resource
        for _, resource in allowed(somewhere, "worker", (*READS, *WRITES), resources, somewhere.outside)
    } == {
        "cert-manager.io/clusterissuers",
        "cert-manager.io/clusterissuers/status",
    }
    path = f"/api/v1/namespaces/{somewhere.outside}/secrets"
    answers = [
        somewhere.api("worker").request("GET", path),
        somewhere.api("worker").request("GET", f"{path}/any"),
    ]
    answers.append(somewhere.api("controller").request("GET", path))
    assert [answer.status for answer in answers] == [403, 403, 403]


def test_with_a_list_no_cluster_role_is_about_anything_but_cluster_issuers(somewhere):
    wide = [rule for one, rule in rules(somewhere.objects) if one["kind"] == "ClusterRole"]

    assert {resource for rule in wide for resource in rule["resources"]} == {
        "clusterissuers",
        "clusterissuers/status",
    }


def test_the_cluster_resource_namespace_gives_the_worker_its_secrets_and_no_more(somewhere, resources):
    writes = allowed(somewhere, "worker", WRITES, resources, somewhere.namespace)

    assert {one for one in writes if one[1] != "cert-manager.io/clusterissuers/status"} == {
        ("create", "/secrets"),
        ("patch", "/secrets"),
    }


def test_namespace_editors_may_edit_its_certificates_and_no_secrets_through_us(everywhere):
    found = {one["metadata"]["name"]: one for one in everywhere.objects if one["kind"] == "ClusterRole"}
    edit, view = (found[f"{everywhere.release}-{name}"] for name in ("edit", "view"))

    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert {verb for rule in view["rules"] for verb in rule["verbs"]} == set(READS)
    assert "rbac.authorization.k8s.io/aggregate-to-view" not in edit["metadata"]["labels"]
    assert {group for rule in (*edit["rules"], *view["rules"]) for group in rule["apiGroups"]} == {
        "cert-manager.io"
    }


# -- the worker's own code, with its own token
# ------------------------------------------------------------


def certificate_body(namespace, name):
    spec = {
        "secretName": f"{name}-tls",
        "dnsNames": ["shop.example"],
        "issuerRef": {"name": "ca", "kind": "ClusterIssuer"},
    }
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def issuer_body(kind, name, namespace=""):
    acme = {
        "server": "https://ca.example/directory",
        "privateKeySecretRef": {"name": f"{name}-key"},
        "solvers": [{"http01": {"ingress": {}}}],
    }
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": metadata, "spec": {"acme": acme}}


def test_the_worker_keeps_secrets_statuses_and_events_with_its_own_rights(installed):
    client, namespace = installed.client("worker"), installed.inside
    home = KubernetesHome(client, cluster_resource_namespace=installed.namespace, clock=SystemClock())
    ready = Condition(type="Ready", status=True, reason="Ready", message="it is", last_transition=0.0)
    issuers = f"/apis/cert-manager.io/v1/namespaces/{namespace}/issuers"
    issuer_name = f"ca-{secrets.token_hex(3)}"
    assert installed.kube.api.request("POST", issuers, issuer_body("Issuer", issuer_name, namespace)).is_ok
    assert installed.kube.api.request(
        "POST", "/apis/cert-manager.io/v1/clusterissuers", issuer_body("ClusterIssuer", issuer_name)
    ).is_ok
    client.create(CERTIFICATES, certificate_body(namespace, "kept"))

    pair = Secret(
        namespace=namespace, name="kept-tls", type=TLS_TYPE, data={"tls.crt": b"a", "tls.key": b"b"}
    )
    home.write_secret(pair)
    home.write_secret(
        Secret(namespace=namespace, name="kept-tls", type=TLS_TYPE, data={"tls.crt": b"c", "tls.key": b"d"})
    )
    assert home.create_secret(
        Secret(namespace=installed.namespace, name="account", type="Opaque", data={"tls.key": b"k"})
    )
    home.write_certificate_status(certificate_id(namespace, "kept"), CertificateStatus(conditions=(ready,)))
    for kind, name, where in (("Issuer", issuer_name, namespace), ("ClusterIssuer", issuer_name, namespace)):
        issuer = home.issuer(ObjectRef.of(kind, where, name))
        home.write_issuer_status(issuer, IssuerStatus(conditions=(ready,)))
        assert home.issuer_status(issuer).conditions
    certificate = home.certificate(certificate_id(namespace, "kept"))
    events = KubernetesEvents(client, SystemClock())
    events.record_event(certificate, "Issuing", "once")
    events.record_event(certificate, "Issuing", "once")

    found = installed.kube.api.request("GET", f"/api/v1/namespaces/{namespace}/events").body["items"]
    assert [event["count"] for event in found if event["involvedObject"]["name"] == "kept"] == [2]
    assert home.secret(namespace, "kept-tls").data["tls.crt"] == b"c"
    assert home.certificate_status(certificate_id(namespace, "kept")).conditions


def test_the_worker_writes_events_of_cluster_issuers_in_the_default_namespace(installed):
    client = installed.client("worker")
    name = f"ca-{secrets.token_hex(3)}"
    assert installed.kube.api.request(
        "POST", "/apis/cert-manager.io/v1/clusterissuers", issuer_body("ClusterIssuer", name)
    ).is_ok
    home = KubernetesHome(client, cluster_resource_namespace=installed.namespace, clock=SystemClock())
    events = KubernetesEvents(client, SystemClock())

    for _ in range(2):
        events.record_issuer_event(
            home.issuer(ObjectRef.of("ClusterIssuer", "", name)), "ErrInitIssuer", "the CA is away"
        )

    found = installed.kube.api.request("GET", "/api/v1/namespaces/default/events").body["items"]
    assert [event["count"] for event in found if event["involvedObject"]["name"] == name] == [2]


def test_the_worker_has_no_verb_that_it_never_uses(installed, resources):
    used = {
        "cert-manager.io/certificates/status": {"update"},
        "cert-manager.io/issuers/status": {"update"},
        "cert-manager.io/clusterissuers/status": {"update"},
        "/services": {"create", "patch", "delete"},
        "discovery.k8s.io/endpointslices": {"create", "patch", "delete"},
        "/events": {"get", "create", "patch"},
    }
    found = {
        name: {verb for verb in (*READS, *WRITES) if installed.may("worker", verb, name, installed.inside)}
        for name in used
    }

    assert found == used


@pytest.mark.parametrize("process", ["worker", "controller"])
def test_the_uid_of_its_own_namespace_and_of_no_other_is_for_a_process_to_read(installed, process):
    uid = installed.kube.api.request("GET", f"/api/v1/namespaces/{installed.namespace}").body["metadata"][
        "uid"
    ]

    assert of_cluster(installed.client(process), installed.namespace, "blue") == f"{uid}/blue"
    with pytest.raises(Forbidden):
        of_cluster(installed.client(process), installed.inside, "blue")


def test_the_worker_leads_challenges_to_the_responder_with_its_own_rights(installed):
    api, namespace = installed.kube.api, installed.inside
    responders = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "responder", "labels": {"kubernetes.io/service-name": "responder"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.7"], "conditions": {"ready": True}}],
    }
    api.apply(
        f"/apis/discovery.k8s.io/v1/namespaces/{installed.namespace}/endpointslices/responder", responders
    )
    client = installed.client("worker")
    routes = KubernetesRoutes(client, ResponderAddresses(client, installed.namespace, "responder"), 8089)
    stored = client.create(CERTIFICATES, certificate_body(namespace, "led"))
    certificate, solver = parse_certificate(stored, source=""), Http01Solver()

    routes.present(certificate, "shop.example", "token", solver)
    ingresses = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"
    assert len(api.request("GET", ingresses).body["items"]) == 1
    routes.cleanup(certificate.id, "shop.example", routes.route_name(certificate, solver))

    assert api.request("GET", ingresses).body["items"] == []
    assert api.request("GET", f"/api/v1/namespaces/{namespace}/services").body["items"] == []


def test_the_worker_may_name_owners_whose_deletion_is_blocked(installed):
    """OpenShift checks that (OwnerReferencesPermissionEnforcement), and so does this server."""
    api, namespace = installed.kube.api, installed.inside
    ingress = {
        "metadata": {"name": f"web-{secrets.token_hex(3)}"},
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
    }
    owner = api.request("POST", f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses", ingress).body[
        "metadata"
    ]
    reference = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "name": owner["name"],
        "uid": owner["uid"],
    }
    body = certificate_body(namespace, f"owned-{secrets.token_hex(3)}")
    body["metadata"]["ownerReferences"] = [{**reference, "controller": True, "blockOwnerDeletion": True}]

    certificate = installed.client("worker").create(CERTIFICATES, body)

    assert certificate["metadata"]["ownerReferences"][0]["name"] == owner["name"]
    api.request("DELETE", f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/{owner['name']}")
