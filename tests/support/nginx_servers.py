"""What the NGINX Ingress Controller makes nginx serve, from the API's objects. Pure.

As measured on the real one:
  * A host belongs to the oldest that asks for it. A solver Ingress (its label) for a VirtualServer's host
  becomes a route of that, whoever is
  older; for an Ingress' host it gets nothing, as any other. It needs one rule, one path and a port that is a
  number.
  * An Ingress needs the class. A VirtualServer with tls.cert-manager is invalid, and so holds no host, unless
  -enable-cert-manager is on.
  * Where TLS is asked for, plain HTTP gets 301 to https, the challenge's path too (a VirtualServer: with
  tls.redirect.enable only); and while
  the Secret is missing the handshake is rejected.
  * A backend's addresses are those of slices that say `ready: true` and have the Service's targetPort, which
  has to be a number; else 502.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from certmill.http01.ingress import CLASS_ANNOTATION, SOLVER_LABEL

CLASS = "nginx"
SHOP = {"tea-svc": "tea", "coffee-svc": "coffee"}
"""The shop's Services do not run in this cluster: nginx answers for them, with the name of their product."""

_NOWHERE = "127.0.0.1:1"
"""The address of a Pod that does not answer."""

Key = tuple[str, str]


@dataclass(kw_only=True)
class Objects:
    """What an ingress controller sees, each by (namespace, name)."""

    ingresses: dict[Key, Any] = field(default_factory=dict)
    virtual_servers: dict[Key, Any] = field(default_factory=dict)
    services: dict[Key, Any] = field(default_factory=dict)
    slices: dict[Key, Any] = field(default_factory=dict)
    """All slices, also the deleted ones in their last state: nginx continues to use their addresses."""

    pairs: dict[Key, str] = field(default_factory=dict)
    """The files with certificate and key of the Secrets that have one."""

    addresses: dict[str, str] = field(default_factory=dict)
    """Where the server behind a Pod's address really listens on this machine."""


def servers(objects: Objects, *, cert_manager: bool) -> str:
    """nginx' servers. `cert_manager`: -enable-cert-manager is on."""
    holders: dict[str, Any] = {}
    hosts = [one for one in objects.virtual_servers.values() if one.get("spec", {}).get("host")]
    valid = [one for one in hosts if cert_manager or "cert-manager" not in _tls(one)]
    routed = {one["spec"]["host"] for one in valid}
    solvers = [one for one in objects.ingresses.values() if _is_solver(one) and _has_class(one)]
    ordinary = [
        one
        for one in objects.ingresses.values()
        if _has_class(one) and not (_is_solver(one) and _host(one) in routed)
    ]
    for one in valid:
        _offer(holders, one["spec"]["host"], one)
    for one in ordinary:
        if not _is_solver(one) or _is_valid_solver(one):
            for rule in one["spec"].get("rules", ()):
                _offer(holders, rule.get("host", ""), one)
    return "\n".join(
        _server(objects, host, holder, solvers)
        for host, holder in sorted(holders.items(), key=lambda pair: pair[0])
    )


def secrets_named(objects: Objects) -> set[Key]:
    """The Secrets that the objects name."""
    by_ingresses = {
        (namespace, tls.get("secretName", ""))
        for (namespace, _), one in objects.ingresses.items()
        for tls in one["spec"].get("tls", ())
    }
    by_virtual_servers = {
        (namespace, _tls(one).get("secret", "")) for (namespace, _), one in objects.virtual_servers.items()
    }
    return {key for key in by_ingresses | by_virtual_servers if key[1]}


def _offer(holders: dict[str, Any], host: str, one: Any) -> None:
    """The oldest object has the host. If two were created in the same second, the one with the greater uid
    has it."""
    holder = holders.setdefault(host, one)
    was, age = (found["metadata"]["creationTimestamp"] for found in (holder, one))
    if age < was or (age == was and one["metadata"]["uid"] > holder["metadata"]["uid"]):
        holders[host] = one


def _server(objects: Objects, host: str, holder: Any, solvers: list[Any]) -> str:
    namespace = holder["metadata"]["namespace"]
    if holder["kind"] == "VirtualServer":
        tls = _tls(holder)
        secret, redirects = tls.get("secret", ""), tls.get("redirect", {}).get("enable", False)
        locations = [
            f"location {route['path']} {{ return 200 '{_said(route)}'; }}"
            for route in holder["spec"].get("routes", ())
            if "action" in route
        ]
        for one in (solver for solver in solvers if _is_valid_solver(solver) and _host(solver) == host):
            locations += _locations(objects, one, host, always_prefix=True)
    else:
        secret = next(
            (
                tls.get("secretName", "")
                for tls in holder["spec"].get("tls", ())
                if host in tls.get("hosts", ())
            ),
            "",
        )
        redirects, locations = True, _locations(objects, holder, host)
    listen = [
        "listen 127.0.0.1:{port};",
        *(_listen_tls(objects, (namespace, secret), redirects) if secret else ()),
    ]
    locations += (
        ["location / { return 404; }"] if not any(one.startswith("location / ") for one in locations) else []
    )
    return f"server {{ {' '.join(listen)} server_name {host or '_'}; {' '.join(dict.fromkeys(locations))} }}"


def _said(route: Any) -> str:
    """What a VirtualServer's route answers: a body of its own, or an upstream of the shop, by its name."""
    action = route["action"]
    return str(action["return"]["body"] if "return" in action else action["pass"])


def _listen_tls(objects: Objects, secret: Key, redirects: bool) -> list[str]:
    file = objects.pairs.get(secret)
    own = f"ssl_certificate {file}; ssl_certificate_key {file};" if file else "ssl_reject_handshake on;"
    moved = "if ($scheme = http) { return 301 https://$host:{tls_port}$request_uri; }" if redirects else ""
    return ["listen 127.0.0.1:{tls_port} ssl;", own, moved]


def _locations(objects: Objects, ingress: Any, host: str, *, always_prefix: bool = False) -> list[str]:
    namespace = ingress["metadata"]["namespace"]
    paths = [
        path
        for rule in ingress["spec"]["rules"]
        if rule.get("host", "") == host
        for path in rule.get("http", {}).get("paths", ())
    ]
    found = []
    for path in (path for path in paths if "service" in path["backend"]):
        exactly = "= " if path["pathType"] == "Exact" and not always_prefix else ""
        found.append(
            f"location {exactly}{path['path']} "
            f"{{ {_action(objects, namespace, path['backend']['service'])} }}"
        )
    return found


def _action(objects: Objects, namespace: str, backend: Any) -> str:
    if backend["name"] in SHOP:
        return f"return 200 '{SHOP[backend['name']]}';"
    target = next(iter(_targets(objects, namespace, backend)), None)
    return f"proxy_pass http://{target}; proxy_set_header Host $host;" if target else "return 502;"


def _targets(objects: Objects, namespace: str, backend: Any) -> list[str]:
    """The real addresses behind a Service's port."""
    service = objects.services.get((namespace, backend["name"]))
    ports = service["spec"].get("ports", ()) if service else ()
    asked = backend["port"]
    target = next(
        (
            one.get("targetPort")
            for one in ports
            if asked.get("number") == one["port"] or asked.get("name") == one.get("name")
        ),
        None,
    )
    return [
        objects.addresses.get(address, _NOWHERE)
        for (where, _), one in sorted(objects.slices.items())
        if where == namespace
        and one["metadata"].get("labels", {}).get("kubernetes.io/service-name") == backend["name"]
        if target in [port.get("port") for port in one["ports"] or ()]
        for endpoint in one.get("endpoints") or ()
        if endpoint.get("conditions", {}).get("ready") is True
        for address in endpoint["addresses"]
    ]


def _tls(virtual_server: Any) -> Any:
    return virtual_server.get("spec", {}).get("tls") or {}


def _has_class(ingress: Any) -> bool:
    return CLASS in (
        ingress["spec"].get("ingressClassName"),
        ingress["metadata"].get("annotations", {}).get(CLASS_ANNOTATION),
    )


def _is_solver(ingress: Any) -> bool:
    return bool(ingress["metadata"].get("labels", {}).get(SOLVER_LABEL) == "true")


def _host(ingress: Any) -> str:
    return next((rule.get("host", "") for rule in ingress["spec"].get("rules", ())), "")


def _is_valid_solver(ingress: Any) -> bool:
    """One rule, one path, and a port that is a number."""
    rules = ingress["spec"].get("rules", ())
    paths = [path for rule in rules for path in rule.get("http", {}).get("paths", ())]
    return len(rules) == len(paths) == 1 and "number" in paths[0]["backend"].get("service", {}).get(
        "port", {}
    )
