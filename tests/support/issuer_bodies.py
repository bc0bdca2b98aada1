"""Invalid Issuers, for the tests of the parser and of the rules in the CRD, with the expected messages."""

from __future__ import annotations

from tests.support.manifest_bodies import Body, an_issuer_body

TOKEN = {"name": "token", "key": "api-token"}


def with_solver(**solver: object) -> Body:
    return an_issuer_body(solvers=[solver])


def with_dns01(**dns01: object) -> Body:
    return with_solver(dns01=dns01)


def with_rfc2136(**rfc2136: object) -> Body:
    return with_dns01(rfc2136={"nameserver": "192.0.2.53"} | rfc2136)


PATH = "spec.acme.solvers[0]"


DNS01 = f"{PATH}.dns01"


WRONG_ACME = {
    "no server": ({"server": ""}, "spec.acme.server", "not the URL of an ACME directory"),
    "a server that is no URL": ({"server": "letsencrypt"}, "spec.acme.server", "not the URL"),
    "a server on another scheme": ({"server": "ftp://ca.example/dir"}, "spec.acme.server", "not the URL"),
    "a server without a host": ({"server": "https:///dir"}, "spec.acme.server", "not the URL"),
    "a server with a bad port": (
        {"server": "https://ca.example:99999/dir"},
        "spec.acme.server",
        "not the URL",
    ),
    "a server with a bad address": ({"server": "https://[::1/dir"}, "spec.acme.server", "not the URL"),
    "a server with a blank": ({"server": "https://ca.example/a dir"}, "spec.acme.server", "not the URL"),
    "a server with a password": (
        {"server": "https://u:hunter2@ca.example/dir"},
        "spec.acme.server",
        "user name or password",
    ),
    "a server over http": ({"server": "http://ca.example/dir"}, "spec.acme.server", "must be https"),
    "ACME v1": ({"server": "https://acme-v01.api.letsencrypt.org/directory"}, "spec.acme.server", "acme-v02"),
    "ACME v1 staging": (
        {"server": "https://acme-staging.api.letsencrypt.org/directory"},
        "spec.acme.server",
        "ACME v1",
    ),
    "no account key": ({"privateKeySecretRef": {}}, "spec.acme.privateKeySecretRef.name", "required"),
    "an empty account key": (
        {"privateKeySecretRef": {"name": ""}},
        "spec.acme.privateKeySecretRef.name",
        "required",
    ),
    "an account key that is a path": (
        {"privateKeySecretRef": {"name": "a", "key": "../b"}},
        "spec.acme.privateKeySecretRef.key",
        "not a valid key",
    ),
    "a bad e-mail address": ({"email": "ops at example.com"}, "spec.acme.email", "not an e-mail address"),
    "two e-mail addresses": (
        {"email": "a@example.com,b@example.com"},
        "spec.acme.email",
        "not an e-mail address",
    ),
    "a long chain": ({"preferredChain": "x" * 65}, "spec.acme.preferredChain", "longer than 64"),
    "a bundle that is PEM": ({"caBundle": "-----BEGIN CERTIFICATE-----"}, "spec.acme.caBundle", "base64"),
    "a bundle of nothing": ({"caBundle": "aGVsbG8="}, "spec.acme.caBundle", "no PEM certificates"),
    "a bundle of bytes": ({"caBundle": "//79"}, "spec.acme.caBundle", "no PEM certificates"),
    "a bundle that is not looked at": (
        {"caBundle": "aGVsbG8=", "skipTLSVerify": True},
        "spec.acme.caBundle",
        "skipTLSVerify",
    ),
    "EAB without an id": (
        {"externalAccountBinding": {"keySecretRef": TOKEN}},
        "spec.acme.externalAccountBinding.keyID",
        "required",
    ),
    "EAB with an empty id": (
        {"externalAccountBinding": {"keyID": "", "keySecretRef": TOKEN}},
        "spec.acme.externalAccountBinding.keyID",
        "required",
    ),
    "EAB without a key": (
        {"externalAccountBinding": {"keyID": "a"}},
        "spec.acme.externalAccountBinding.keySecretRef",
        "required",
    ),
    "EAB without a name": (
        {"externalAccountBinding": {"keyID": "a", "keySecretRef": {"key": "k"}}},
        "spec.acme.externalAccountBinding.keySecretRef.name",
        "required",
    ),
    "EAB without the Secret's key": (
        {"externalAccountBinding": {"keyID": "a", "keySecretRef": {"name": "n"}}},
        "spec.acme.externalAccountBinding.keySecretRef.key",
        "required",
    ),
    "an unknown EAB algorithm": (
        {"externalAccountBinding": {"keyID": "a", "keySecretRef": TOKEN, "keyAlgorithm": "MD5"}},
        "spec.acme.externalAccountBinding.keyAlgorithm",
        "must be",
    ),
    "an unknown source": (
        {"renewalInformationSource": "Ari"},
        "spec.acme.renewalInformationSource",
        "'ARI' or 'None'",
    ),
    "an unknown field": ({"emial": "a@example.com"}, "spec.acme.emial", "not a known field"),
    "solvers as a mapping": ({"solvers": {"http01": {}}}, "spec.acme.solvers", "must be a list"),
    "a null solver": ({"solvers": [None]}, PATH, "must be a mapping"),
    "an empty solver": ({"solvers": [{}]}, PATH, "needs one of http01 and dns01"),
    "a solver of both kinds": (
        {"solvers": [{"http01": {"ingress": {}}, "dns01": {"cloudflare": {"apiTokenSecretRef": TOKEN}}}]},
        PATH,
        "only one of http01 and dns01",
    ),
    "http01 of nothing": ({"solvers": [{"http01": {}}]}, f"{PATH}.http01", "needs ingress"),
    "http01 of two kinds": (
        {"solvers": [{"http01": {"ingress": {}, "gatewayHTTPRoute": {}}}]},
        f"{PATH}.http01",
        "only one of",
    ),
    "an unknown challenge": ({"solvers": [{"tlsalpn01": {}}]}, f"{PATH}.tlsalpn01", "not a known field"),
    "a negative wait": (
        {"solvers": [{"http01": {"ingress": {}}, "waitInsteadOfSelfCheck": "-1s"}]},
        f"{PATH}.waitInsteadOfSelfCheck",
        "negative",
    ),
    "a bad selector": (
        {"solvers": [{"http01": {"ingress": {}}, "selector": {"dnsNames": ["a_b"]}}]},
        f"{PATH}.selector.dnsNames[0]",
        "not a valid DNS name",
    ),
    "a wildcard zone": (
        {"solvers": [{"http01": {"ingress": {}}, "selector": {"dnsZones": ["*.a.b"]}}]},
        f"{PATH}.selector.dnsZones[0]",
        "zone",
    ),
    "a selector label in two lines": (
        {"solvers": [{"http01": {"ingress": {}}, "selector": {"matchLabels": {"a": "b\nc"}}}]},
        f"{PATH}.selector.matchLabels.a",
        "one line",
    ),
}


WRONG_DNS01 = {
    "no provider": ({}, "", "needs a provider"),
    "only a null one": ({"rfc2136": None}, "", "needs a provider"),
    "two providers": (
        {"rfc2136": {"nameserver": "192.0.2.1"}, "cloudflare": {"apiTokenSecretRef": TOKEN}},
        "",
        "only one provider",
    ),
    "two providers that are not acted on": (
        {"digitalocean": {"tokenSecretRef": TOKEN}, "acmeDNS": {"host": "a", "accountSecretRef": TOKEN}},
        "",
        "only one",
    ),
    "an unknown provider": ({"gandi": {}}, ".gandi", "not a known field"),
    "an unknown strategy": (
        {"cnameStrategy": "follow", "rfc2136": {"nameserver": "192.0.2.1"}},
        ".cnameStrategy",
        "'None' or 'Follow'",
    ),
    "a name server without a port": (
        {"nameservers": ["192.0.2.1"], "rfc2136": {"nameserver": "192.0.2.1"}},
        ".nameservers[0]",
        "has no port",
    ),
    "a DoH server without a host": (
        {"nameservers": ["https://"], "rfc2136": {"nameserver": "192.0.2.1"}},
        ".nameservers[0]",
        "DNS-over-HTTPS",
    ),
    "a DoH server with a bad host": (
        {"nameservers": ["https://[a"], "rfc2136": {"nameserver": "192.0.2.1"}},
        ".nameservers[0]",
        "DNS-over-HTTPS",
    ),
    "a name server over http": (
        {"nameservers": ["http://a/"], "rfc2136": {"nameserver": "192.0.2.1"}},
        ".nameservers[0]",
        "not a valid address",
    ),
    "no name server": ({"rfc2136": {}}, ".rfc2136.nameserver", "required"),
    "an empty name server": ({"rfc2136": {"nameserver": ""}}, ".rfc2136.nameserver", "not a valid address"),
    "a name server by no name": (
        {"rfc2136": {"nameserver": "ns_1.example.com:53"}},
        ".rfc2136.nameserver",
        "not a valid DNS name",
    ),
    "a name server with a bad port": (
        {"rfc2136": {"nameserver": "192.0.2.1:dns"}},
        ".rfc2136.nameserver",
        "not a valid address",
    ),
    "a TSIG name without a secret": (
        {"rfc2136": {"nameserver": "192.0.2.1", "tsigKeyName": "k"}},
        ".rfc2136.tsigSecretSecretRef",
        "required",
    ),
    "a TSIG secret without a name": (
        {"rfc2136": {"nameserver": "192.0.2.1", "tsigSecretSecretRef": TOKEN}},
        ".rfc2136.tsigKeyName",
        "required",
    ),
    "a TSIG name that is none": (
        {"rfc2136": {"nameserver": "192.0.2.1", "tsigKeyName": "a b", "tsigSecretSecretRef": TOKEN}},
        ".rfc2136.tsigKeyName",
        "not a valid name of a key",
    ),
    "an unknown TSIG algorithm": (
        {"rfc2136": {"nameserver": "192.0.2.1", "tsigAlgorithm": "HMACSHA3"}},
        ".rfc2136.tsigAlgorithm",
        "HMACMD5",
    ),
    "an unknown protocol": (
        {"rfc2136": {"nameserver": "192.0.2.1", "protocol": "udp"}},
        ".rfc2136.protocol",
        "'UDP' or 'TCP'",
    ),
    "Cloudflare without a credential": (
        {"cloudflare": {"email": "a@example.com"}},
        ".cloudflare",
        "exactly one of",
    ),
    "Cloudflare with both": (
        {"cloudflare": {"email": "a@b.c", "apiKeySecretRef": TOKEN, "apiTokenSecretRef": TOKEN}},
        ".cloudflare",
        "exactly one of",
    ),
    "a Cloudflare key without an e-mail address": (
        {"cloudflare": {"apiKeySecretRef": TOKEN}},
        ".cloudflare.email",
        "required",
    ),
    "a Cloudflare token in clear": (
        {"cloudflare": {"apiToken": "hunter2"}},
        ".cloudflare.apiToken",
        "not a known field",
    ),
    "a Secret without a key": (
        {"cloudflare": {"apiTokenSecretRef": {"name": "a"}}},
        ".cloudflare.apiTokenSecretRef.key",
        "required",
    ),
    "Route 53 with both": (
        {"route53": {"accessKeyID": "a", "accessKeyIDSecretRef": TOKEN}},
        ".route53",
        "only one of",
    ),
    "Azure without a secret": (
        {"azureDNS": {"subscriptionID": "s", "resourceGroupName": "g", "clientID": "c"}},
        ".azureDNS",
        "clientID, clientSecretSecretRef and tenantID together",
    ),
    "Azure without a subscription": (
        {"azureDNS": {"resourceGroupName": "g"}},
        ".azureDNS.subscriptionID",
        "required",
    ),
    "Azure with two identities": (
        {
            "azureDNS": {
                "subscriptionID": "s",
                "resourceGroupName": "g",
                "managedIdentity": {"clientID": "c", "resourceID": "r"},
            }
        },
        ".azureDNS.managedIdentity",
        "only one of",
    ),
    "an unknown Azure": (
        {"azureDNS": {"subscriptionID": "s", "resourceGroupName": "g", "environment": "Moon"}},
        ".azureDNS.environment",
        "must be",
    ),
    "Akamai without a token": (
        {"akamai": {"serviceConsumerDomain": "a"}},
        ".akamai.clientTokenSecretRef",
        "required",
    ),
    "Cloud DNS without a project": ({"cloudDNS": {}}, ".cloudDNS.project", "required"),
    "acme-dns without a host": ({"acmeDNS": {"accountSecretRef": TOKEN}}, ".acmeDNS.host", "required"),
    "a webhook without a solver": ({"webhook": {"groupName": "a"}}, ".webhook.solverName", "required"),
}
