"""Manifests for the tests of the CRDs: one with every field there is of each kind, and the bad ones, one for
each rule of the webhook."""

from __future__ import annotations

from tests.support.manifest_bodies import a_certificate_body, an_issuer_body, without

SECRET = {"name": "token", "key": "api-token"}
PEM = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"
SOLVER = "spec.acme.solvers[0]"
AZURE = {"subscriptionID": "s", "resourceGroupName": "g"}


def with_solver(**solver):
    """A ClusterIssuer with one solver."""
    return an_issuer_body(solvers=[solver])


def with_ingress(**ingress):
    """A ClusterIssuer that solves HTTP-01 through an Ingress."""
    return with_solver(http01={"ingress": ingress})


def with_dns01(**dns01):
    """A ClusterIssuer that solves DNS-01."""
    return with_solver(dns01=dns01)


def with_rfc2136(**rfc2136):
    """A ClusterIssuer that solves DNS-01 by DNS UPDATE."""
    return with_dns01(rfc2136={"nameserver": "192.0.2.53:53"} | rfc2136)


def with_spec(**spec):
    """A ClusterIssuer with this whole spec."""
    return an_issuer_body() | {"spec": spec}


ACME = an_issuer_body()["spec"]["acme"]

# Rule → (bad manifest, the field that the API server's message names, words in it). The order is the one of
# the webhook's rules.
WRONG = {
    "an issuer has a type": (with_spec(), "spec", "exactly one of acme, ca"),
    "an issuer has only one type": (
        with_spec(acme=ACME, ca={"secretName": "ca"}),
        "spec",
        "exactly one of acme, ca",
    ),
    "ACME needs a server": (
        without(an_issuer_body(), "spec", "acme", "server"),
        "spec.acme.server",
        "Required value",
    ),
    "a server is not empty": (an_issuer_body(server=""), "spec.acme.server", "not the URL"),
    "a server is a URL": (an_issuer_body(server="letsencrypt"), "spec.acme.server", "not the URL"),
    "ACME needs an account key": (
        without(an_issuer_body(), "spec", "acme", "privateKeySecretRef"),
        "spec.acme.privateKeySecretRef",
        "Required",
    ),
    "an account key has a name": (
        an_issuer_body(privateKeySecretRef={}),
        "spec.acme.privateKeySecretRef.name",
        "Required value",
    ),
    "an account key's name is not empty": (
        an_issuer_body(privateKeySecretRef={"name": ""}),
        "spec.acme.privateKeySecretRef.name",
        "at least 1 chars",
    ),
    "a chain is no longer than a common name": (
        an_issuer_body(preferredChain="x" * 65),
        "spec.acme.preferredChain",
        "Too long",
    ),
    "caBundle excludes skipTLSVerify": (
        an_issuer_body(caBundle=PEM, skipTLSVerify=True),
        "spec.acme.caBundle",
        "together with skipTLSVerify",
    ),
    "caBundle is base64": (
        an_issuer_body(caBundle="-----BEGIN CERTIFICATE-----"),
        "spec.acme.caBundle",
        "must be base64",
    ),
    "EAB needs a key id": (
        an_issuer_body(externalAccountBinding={"keySecretRef": SECRET}),
        "spec.acme.externalAccountBinding.keyID",
        "Required value",
    ),
    "EAB needs a key": (
        an_issuer_body(externalAccountBinding={"keyID": "a"}),
        "spec.acme.externalAccountBinding.keySecretRef",
        "Required value",
    ),
    "EAB's key has a Secret": (
        an_issuer_body(externalAccountBinding={"keyID": "a", "keySecretRef": {"key": "k"}}),
        "spec.acme.externalAccountBinding.keySecretRef.name",
        "Required value",
    ),
    "EAB's Secret has a key": (
        an_issuer_body(externalAccountBinding={"keyID": "a", "keySecretRef": {"name": "n", "key": ""}}),
        "spec.acme.externalAccountBinding.keySecretRef.key",
        "at least 1 chars",
    ),
    "a solver has a challenge": (with_solver(), SOLVER, "exactly one of http01 and dns01"),
    "a solver has only one challenge": (
        with_solver(http01={"ingress": {}}, dns01={"rfc2136": {"nameserver": "192.0.2.53"}}),
        SOLVER,
        "exactly one of http01 and dns01",
    ),
    "HTTP-01 has a way": (with_solver(http01={}), f"{SOLVER}.http01", "exactly one of ingress"),
    "HTTP-01 has only one way": (
        with_solver(http01={"ingress": {}, "gatewayHTTPRoute": {}}),
        f"{SOLVER}.http01",
        "exactly one of ingress",
    ),
    "an Ingress has one of class and name": (
        with_ingress(**{"class": "a", "name": "b"}),
        f"{SOLVER}.http01.ingress",
        "only one of",
    ),
    "an Ingress has one of class and ingressClassName": (
        with_ingress(**{"class": "a", "ingressClassName": "b"}),
        f"{SOLVER}.http01.ingress",
        "only one of",
    ),
    "an Ingress has one of name and ingressClassName": (
        with_ingress(name="a", ingressClassName="b"),
        f"{SOLVER}.http01.ingress",
        "only one of",
    ),
    "an IngressClass has a name for objects": (
        with_ingress(ingressClassName="azure/gateway"),
        f"{SOLVER}.http01.ingress.ingressClassName",
        "name of an IngressClass",
    ),
    "a solver's Service is no load balancer": (
        with_ingress(serviceType="LoadBalancer"),
        f"{SOLVER}.http01.ingress.serviceType",
        "Unsupported value",
    ),
    "a Gateway's Service is no load balancer": (
        with_solver(http01={"gatewayHTTPRoute": {"serviceType": "LoadBalancer"}}),
        f"{SOLVER}.http01.gatewayHTTPRoute.serviceType",
        "Unsupported value",
    ),
    "a wait is not negative": (
        with_solver(http01={"ingress": {}}, waitInsteadOfSelfCheck="-1s"),
        f"{SOLVER}.waitInsteadOfSelfCheck",
        "not negative",
    ),
    "DNS-01 has a provider": (with_dns01(), f"{SOLVER}.dns01", "exactly one provider"),
    "DNS-01 has only one provider": (
        with_dns01(rfc2136={"nameserver": "192.0.2.53"}, cloudflare={"apiTokenSecretRef": SECRET}),
        f"{SOLVER}.dns01",
        "exactly one provider",
    ),
    "a CNAME is followed or not": (
        with_dns01(cnameStrategy="follow", rfc2136={"nameserver": "192.0.2.53"}),
        f"{SOLVER}.dns01.cnameStrategy",
        "Unsupported value",
    ),
    "a name server has a port": (
        with_dns01(nameservers=["192.0.2.1"], rfc2136={"nameserver": "192.0.2.53"}),
        f"{SOLVER}.dns01.nameservers[0]",
        "address with its port",
    ),
    "a DoH server has a host": (
        with_dns01(nameservers=["192.0.2.1:53", "https://"], rfc2136={"nameserver": "192.0.2.53"}),
        f"{SOLVER}.dns01.nameservers[1]",
        "https:// URL",
    ),
    "Cloudflare needs a credential": (
        with_dns01(cloudflare={"email": "a@b.c"}),
        f"{SOLVER}.dns01.cloudflare",
        "exactly one of apiTokenSecretRef",
    ),
    "Cloudflare takes only one credential": (
        with_dns01(cloudflare={"email": "a@b.c", "apiKeySecretRef": SECRET, "apiTokenSecretRef": SECRET}),
        f"{SOLVER}.dns01.cloudflare",
        "exactly one of apiTokenSecretRef",
    ),
    "Cloudflare's key has an e-mail address": (
        with_dns01(cloudflare={"apiKeySecretRef": SECRET}),
        f"{SOLVER}.dns01.cloudflare.email",
        "together with apiKeySecretRef",
    ),
    "Cloudflare's token has a key in its Secret": (
        with_dns01(cloudflare={"apiTokenSecretRef": {"name": "a"}}),
        f"{SOLVER}.dns01.cloudflare.apiTokenSecretRef.key",
        "Required value",
    ),
    "Route 53 takes one key id": (
        with_dns01(route53={"accessKeyID": "a", "accessKeyIDSecretRef": SECRET}),
        f"{SOLVER}.dns01.route53",
        "only one of accessKeyID",
    ),
    "a TSIG name has a secret": (
        with_rfc2136(tsigKeyName="k"),
        f"{SOLVER}.dns01.rfc2136.tsigSecretSecretRef",
        "together with tsigKeyName",
    ),
    "a TSIG secret has a name": (
        with_rfc2136(tsigSecretSecretRef=SECRET),
        f"{SOLVER}.dns01.rfc2136.tsigKeyName",
        "together with tsigSecretSecretRef",
    ),
    "a TSIG algorithm is known": (
        with_rfc2136(tsigAlgorithm="HMACSHA3"),
        f"{SOLVER}.dns01.rfc2136.tsigAlgorithm",
        "HMACSHA512",
    ),
    "an RFC 2136 server is needed": (
        with_dns01(rfc2136={}),
        f"{SOLVER}.dns01.rfc2136.nameserver",
        "Required value",
    ),
    "an RFC 2136 server is an address": (
        with_rfc2136(nameserver=":53"),
        f"{SOLVER}.dns01.rfc2136.nameserver",
        "not a valid address",
    ),
    "an RFC 2136 server has a number for a port": (
        with_rfc2136(nameserver="192.0.2.1:dns"),
        f"{SOLVER}.dns01.rfc2136.nameserver",
        "not a valid address",
    ),
    "an RFC 2136 protocol is known": (
        with_rfc2136(protocol="udp"),
        f"{SOLVER}.dns01.rfc2136.protocol",
        "Unsupported value",
    ),
    "an Azure client has a secret and a tenant": (
        with_dns01(azureDNS=AZURE | {"clientID": "c", "tenantID": "t"}),
        f"{SOLVER}.dns01.azureDNS",
        "clientSecretSecretRef and tenantID together",
    ),
    "an Azure client is no managed identity": (
        with_dns01(
            azureDNS=AZURE
            | {
                "clientID": "c",
                "tenantID": "t",
                "clientSecretSecretRef": SECRET,
                "managedIdentity": {"clientID": "c"},
            }
        ),
        f"{SOLVER}.dns01.azureDNS.managedIdentity",
        "together with clientID",
    ),
    "a managed identity has one id": (
        with_dns01(azureDNS=AZURE | {"managedIdentity": {"clientID": "c", "resourceID": "r"}}),
        f"{SOLVER}.dns01.azureDNS.managedIdentity",
        "only one of clientID and resourceID",
    ),
    "a managed identity's tenant has a client": (
        with_dns01(azureDNS=AZURE | {"managedIdentity": {"tenantID": "t"}}),
        f"{SOLVER}.dns01.azureDNS.managedIdentity",
        "clientID with tenantID",
    ),
    "Azure needs a subscription": (
        with_dns01(azureDNS={"resourceGroupName": "g"}),
        f"{SOLVER}.dns01.azureDNS.subscriptionID",
        "Required value",
    ),
    "Akamai needs its tokens": (
        with_dns01(akamai={"serviceConsumerDomain": "a"}),
        f"{SOLVER}.dns01.akamai.clientTokenSecretRef",
        "Required value",
    ),
    "Cloud DNS needs a project": (
        with_dns01(cloudDNS={"project": ""}),
        f"{SOLVER}.dns01.cloudDNS.project",
        "at least 1 chars",
    ),
    "DigitalOcean needs a token": (
        with_dns01(digitalocean={}),
        f"{SOLVER}.dns01.digitalocean.tokenSecretRef",
        "Required value",
    ),
    "acme-dns needs a host": (
        with_dns01(acmeDNS={"accountSecretRef": SECRET}),
        f"{SOLVER}.dns01.acmeDNS.host",
        "Required value",
    ),
    "a webhook has a solver": (
        with_dns01(webhook={"groupName": "a"}),
        f"{SOLVER}.dns01.webhook.solverName",
        "Required value",
    ),
    "a Certificate has a spec": (without(a_certificate_body(), "spec"), "spec", "Required value"),
    "a Certificate has a Secret": (
        without(a_certificate_body(), "spec", "secretName"),
        "spec.secretName",
        "Required value",
    ),
    "a Secret's name is not empty": (
        a_certificate_body(secretName=""),
        "spec.secretName",
        "name of a Secret",
    ),
    "a Secret's name is one for objects": (
        a_certificate_body(secretName="Web_TLS"),
        "spec.secretName",
        "name of a Secret",
    ),
    "a Certificate has an issuer": (
        a_certificate_body(issuerRef={}),
        "spec.issuerRef.name",
        "Required value",
    ),
    "an issuer's name is not empty": (
        a_certificate_body(issuerRef={"name": ""}),
        "spec.issuerRef.name",
        "at least 1 chars",
    ),
    "an issuer of ours is of a kind of ours": (
        a_certificate_body(issuerRef={"name": "a", "kind": "VenafiIssuer"}),
        "spec.issuerRef.kind",
        "Issuer or ClusterIssuer",
    ),
    "a Certificate has a name": (a_certificate_body(dnsNames=[]), "spec.dnsNames", "at least one name"),
    "a subject without a common name is no name": (
        a_certificate_body(dnsNames=[], literalSubject="O=Example,OU=CN"),
        "spec.dnsNames",
        "at least one name",
    ),
    "a common name has 64 characters at most": (
        a_certificate_body(commonName="a" * 65),
        "spec.commonName",
        "Too long",
    ),
    "an RSA key has 2048 bits": (
        a_certificate_body(privateKey={"size": 2047}),
        "spec.privateKey.size",
        "2048 to 8192",
    ),
    "an RSA key has no more than 8192 bits": (
        a_certificate_body(privateKey={"algorithm": "RSA", "size": 8193}),
        "spec.privateKey.size",
        "2048 to 8192",
    ),
    "an ECDSA key is on a curve": (
        a_certificate_body(privateKey={"algorithm": "ECDSA", "size": 2048}),
        "spec.privateKey.size",
        "256, 384 or 521",
    ),
    "a key's algorithm is known": (
        a_certificate_body(privateKey={"algorithm": "DSA"}),
        "spec.privateKey.algorithm",
        "Unsupported value",
    ),
    "a key's encoding is known": (
        a_certificate_body(privateKey={"encoding": "DER"}),
        "spec.privateKey.encoding",
        "Unsupported value",
    ),
    "a key's rotation is known": (
        a_certificate_body(privateKey={"rotationPolicy": "Often"}),
        "spec.privateKey.rotationPolicy",
        "Unsupported value",
    ),
    "a signature suits an RSA key": (
        a_certificate_body(signatureAlgorithm="ECDSAWithSHA256"),
        "spec.signatureAlgorithm",
        "must suit",
    ),
    "a signature suits an ECDSA key": (
        a_certificate_body(signatureAlgorithm="SHA256WithRSA", privateKey={"algorithm": "ECDSA"}),
        "spec.signatureAlgorithm",
        "must suit",
    ),
    "a signature suits an Ed25519 key": (
        a_certificate_body(signatureAlgorithm="ECDSAWithSHA256", privateKey={"algorithm": "Ed25519"}),
        "spec.signatureAlgorithm",
        "must suit",
    ),
    "a certificate lives an hour": (a_certificate_body(duration="59m59s"), "spec.duration", "at least 1h"),
    "a duration has no days": (a_certificate_body(duration="90d"), "spec.duration", "such as 2160h"),
    "renewBefore is 5 minutes": (a_certificate_body(renewBefore="4m59s"), "spec.renewBefore", "at least 5m"),
    "renewBefore is shorter than the default duration": (
        a_certificate_body(renewBefore="2160h"),
        "spec.renewBefore",
        "shorter than duration",
    ),
    "renewBefore is shorter than duration": (
        a_certificate_body(duration="120m", renewBefore="2h"),
        "spec.renewBefore",
        "shorter than duration",
    ),
    "renewBefore excludes a percentage": (
        a_certificate_body(renewBefore="5h", renewBeforePercentage=5),
        "spec.renewBefore",
        "together with renewBeforePercentage",
    ),
    "a percentage is more than 0": (
        a_certificate_body(renewBeforePercentage=0),
        "spec.renewBeforePercentage",
        "or equal to 1",
    ),
    "a percentage is less than 100": (
        a_certificate_body(renewBeforePercentage=100),
        "spec.renewBeforePercentage",
        "or equal to 99",
    ),
    "a percentage comes to 5 minutes": (
        a_certificate_body(duration="1h", renewBeforePercentage=8),
        "spec.renewBeforePercentage",
        "at least 5m of duration",
    ),
    "a usage is known": (
        a_certificate_body(usages=["server auth", "no usage"]),
        "spec.usages[1]",
        "Unsupported value",
    ),
    "an address is one": (
        a_certificate_body(ipAddresses=["192.0.2.1", "192.0.2.300"]),
        "spec.ipAddresses[1]",
        "not a valid IP address",
    ),
    "an e-mail address is alone": (
        a_certificate_body(emailAddresses=["Ops <ops@example.com>"]),
        "spec.emailAddresses[0]",
        "not an e-mail address",
    ),
    "an otherName has an object identifier": (
        a_certificate_body(otherNames=[{"oid": "1.x", "utf8Value": "a"}]),
        "spec.otherNames[0].oid",
        "object identifier",
    ),
    "an otherName has a value": (
        a_certificate_body(otherNames=[{"oid": "1.2.3", "utf8Value": ""}]),
        "spec.otherNames[0].utf8Value",
        "at least 1 chars",
    ),
    "an e-mail address has no scheme": (
        a_certificate_body(emailAddresses=["mailto:ops@example.com"]),
        "spec.emailAddresses[0]",
        "not an e-mail address",
    ),
    "a literal subject is a distinguished name": (
        a_certificate_body(literalSubject="www.example.com"),
        "spec.literalSubject",
        "distinguished name",
    ),
    "a literal subject ends with a value": (
        a_certificate_body(literalSubject="CN=a.example,"),
        "spec.literalSubject",
        "distinguished name",
    ),
    "a Secret's annotation is no larger than the API server takes": (
        a_certificate_body(secretTemplate={"annotations": {"a": "x" * (256 * 1024 + 1)}}),
        "spec.secretTemplate.annotations.a",
        "Too long",
    ),
    "a literal subject excludes a common name": (
        a_certificate_body(literalSubject="CN=a", commonName="a"),
        "spec.literalSubject",
        "together with commonName",
    ),
    "a literal subject excludes a subject": (
        a_certificate_body(literalSubject="CN=a", subject={"serialNumber": "7"}),
        "spec.literalSubject",
        "together with subject",
    ),
    "a JKS keystore has a password": (
        a_certificate_body(keystores={"jks": {"create": True}}),
        "spec.keystores.jks",
        "exactly one of",
    ),
    "a PKCS#12 keystore has one password": (
        a_certificate_body(
            keystores={"pkcs12": {"create": True, "password": "hunter2", "passwordSecretRef": SECRET}}
        ),
        "spec.keystores.pkcs12",
        "exactly one of",
    ),
    "a keystore's password is not empty": (
        a_certificate_body(keystores={"jks": {"create": True, "password": ""}}),
        "spec.keystores.jks.password",
        "at least 1 chars",
    ),
    "a keystore's profile is known": (
        a_certificate_body(keystores={"pkcs12": {"create": True, "password": "hunter2", "profile": "New"}}),
        "spec.keystores.pkcs12.profile",
        "Unsupported value",
    ),
    "a Secret's annotations are not cert-manager's": (
        a_certificate_body(secretTemplate={"annotations": {"cert-manager.io/alt-names": "x"}}),
        "spec.secretTemplate.annotations",
        "under cert-manager.io/",
    ),
    "a Secret's annotations have keys": (
        a_certificate_body(secretTemplate={"annotations": {"a b": "x"}}),
        "spec.secretTemplate.annotations",
        "must have keys",
    ),
    "a Secret's labels have keys": (
        a_certificate_body(secretTemplate={"labels": {"a b": "x"}}),
        "spec.secretTemplate.labels",
        "must have keys",
    ),
    "a Secret's labels have values": (
        a_certificate_body(secretTemplate={"labels": {"a": "x y"}}),
        "spec.secretTemplate.labels",
        "must have values",
    ),
    "an output format is there once": (
        a_certificate_body(
            additionalOutputFormats=[{"type": "DER"}, {"type": "CombinedPEM"}, {"type": "DER"}]
        ),
        "spec.additionalOutputFormats",
        "same type twice",
    ),
    "an output format is known": (
        a_certificate_body(additionalOutputFormats=[{"type": "PEM"}]),
        "spec.additionalOutputFormats[0].type",
        "Unsupported value",
    ),
    "a history has one revision at least": (
        a_certificate_body(revisionHistoryLimit=0),
        "spec.revisionHistoryLimit",
        "greater than or equal to 1",
    ),
    "only a CA has name constraints": (
        a_certificate_body(nameConstraints={"permitted": {"dnsDomains": ["a.example"]}}),
        "spec.nameConstraints",
        "together with isCA",
    ),
    "name constraints constrain": (
        a_certificate_body(isCA=True, nameConstraints={"critical": True}),
        "spec.nameConstraints",
        "permitted or excluded",
    ),
    "a network is one": (
        a_certificate_body(isCA=True, nameConstraints={"excluded": {"ipRanges": ["192.0.2.0/33"]}}),
        "spec.nameConstraints.excluded.ipRanges[0]",
        "not a network",
    ),
    "a renewal policy is known": (
        a_certificate_body(renewal={"policy": "Never"}),
        "spec.renewal.policy",
        "Unsupported value",
    ),
    "renewal that is disabled has no windows": (
        a_certificate_body(
            renewal={"policy": "Disabled", "windows": [{"cron": "0 0 * * *", "windowDuration": "1h"}]}
        ),
        "spec.renewal.windows",
        "policy Disabled",
    ),
    "a window opens by five fields": (
        a_certificate_body(
            renewal={"policy": "RenewBefore", "windows": [{"cron": "daily", "windowDuration": "1h"}]}
        ),
        "spec.renewal.windows[0].cron",
        "five fields",
    ),
    "a window is longer than nothing": (
        a_certificate_body(
            renewal={"policy": "RenewBefore", "windows": [{"cron": "0 0 * * *", "windowDuration": "0s"}]}
        ),
        "spec.renewal.windows[0].windowDuration",
        "more than 0s",
    ),
}

KEYSTORES = {
    "jks": {"create": True, "alias": "web", "passwordSecretRef": {"name": "keystore", "key": "password"}},
    "pkcs12": {
        "create": False,
        "profile": "Modern2023",
        "password": "hunter2",
        "passwordSecretRef": {"name": ""},
    },
}
CONSTRAINTS = {
    "dnsDomains": ["example.com"],
    "ipRanges": ["192.0.2.0/24", "2001:db8::/32"],
    "emailAddresses": ["example.com"],
    "uriDomains": ["example.com"],
}

FULL_CERTIFICATE = a_certificate_body(
    issuerRef={"name": "ca", "kind": "ClusterIssuer", "group": "cert-manager.io"},
    commonName="web.example.com",
    dnsNames=["web.example.com", "*.example.com", "bücher.example"],
    ipAddresses=["192.0.2.1", "2001:DB8::1", "::ffff:192.0.2.1"],
    uris=["spiffe://example.com/web"],
    emailAddresses=["ops@example.com"],
    otherNames=[{"oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "upn@example.com"}],
    subject={
        "organizations": ["Example"],
        "countries": ["DE"],
        "organizationalUnits": ["Ops"],
        "localities": ["Berlin"],
        "provinces": ["BE"],
        "streetAddresses": ["Street 1"],
        "postalCodes": ["10115"],
        "serialNumber": "7",
    },
    duration="2160h0m0s",
    renewBefore="360h30m0.5s",
    renewal={
        "policy": "RenewBefore",
        "windows": [{"cron": "0 0 * * 1-5", "windowDuration": "4h", "timezone": "Europe/Berlin"}],
    },
    privateKey={"algorithm": "ECDSA", "size": 384, "encoding": "PKCS8", "rotationPolicy": "Never"},
    signatureAlgorithm="ECDSAWithSHA384",
    usages=["digital signature", "server auth", "s/mime"],
    encodeUsagesInRequest=False,
    isCA=True,
    nameConstraints={"critical": True, "permitted": CONSTRAINTS, "excluded": CONSTRAINTS},
    revisionHistoryLimit=3,
    secretTemplate={
        "labels": {"team": "web", "example.com/empty": ""},
        "annotations": {"example.com/Copy": "x y", "cert-manager.io/allow-direct-injection": "true"},
    },
    keystores=KEYSTORES,
    additionalOutputFormats=[{"type": "CombinedPEM"}, {"type": "DER"}],
)

FULL_STATUS = {
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Ready",
            "message": "Certificate is up to date and has not expired",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": 1,
        },
        {"type": "Issuing", "status": "False"},
    ],
    "notBefore": "2026-01-01T00:00:00Z",
    "notAfter": "2026-04-01T00:00:00Z",
    "renewalTime": "2026-03-01T00:00:00Z",
    "revision": 2,
    "lastFailureTime": "2026-01-01T00:00:00Z",
    "failedIssuanceAttempts": 1,
    "nextPrivateKeySecretName": "web-x7k2p",
    "acme": {
        "ari": {
            "suggestedWindow": {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z"},
            "explanationURL": "https://ca.example/why",
            "lastChecked": "2026-01-01T00:00:00Z",
            "nextCheck": "2026-01-01T06:00:00Z",
            "lastError": "none",
        }
    },
}

FULL_ISSUER_STATUS = {
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "ACMEAccountRegistered",
            "message": "registered",
            "observedGeneration": 1,
        }
    ],
    "acme": {
        "uri": "https://ca.example/acct/1",
        "lastRegisteredEmail": "ops@example.com",
        "lastPrivateKeyHash": "x=",
    },
}

POD_TEMPLATE = {
    "metadata": {"annotations": {"a": "b"}, "labels": {"c": "d"}},
    "spec": {
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": []}]}
            }
        },
        "tolerations": [
            {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute", "tolerationSeconds": 5}
        ],
        "priorityClassName": "high",
        "serviceAccountName": "solver",
        "imagePullSecrets": [{"name": "registry"}],
        "securityContext": {
            "seLinuxOptions": {"level": "l", "role": "r", "type": "t", "user": "u"},
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "runAsNonRoot": True,
            "supplementalGroups": [1, 2],
            "fsGroup": 3,
            "fsGroupChangePolicy": "OnRootMismatch",
            "sysctls": [{"name": "a", "value": "b"}],
            "seccompProfile": {"type": "Localhost", "localhostProfile": "x"},
        },
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": 1, "memory": "1.5Gi"}},
    },
}

# Whatever cert-manager knows, whether certmill does or not.
SOLVERS = [
    {
        "selector": {"matchLabels": {"a": "b"}, "dnsNames": ["*.example.com"], "dnsZones": ["example.com"]},
        "waitInsteadOfSelfCheck": "1m30s",
        "http01": {
            "ingress": {
                "class": "azure/gateway",
                "serviceType": "ClusterIP",
                "podTemplate": POD_TEMPLATE,
                "ingressTemplate": {"metadata": {"annotations": {"a": "b"}, "labels": {"c": "d"}}},
            }
        },
    },
    {"http01": {"ingress": {"ingressClassName": "nginx", "serviceType": "NodePort"}}},
    {"http01": {"ingress": {"name": "web", "serviceType": ""}}},
    {
        "http01": {
            "gatewayHTTPRoute": {
                "serviceType": "ClusterIP",
                "labels": {"a": "b"},
                "parentRefs": [
                    {
                        "group": "gateway.networking.k8s.io",
                        "kind": "Gateway",
                        "namespace": "infra",
                        "name": "gateway",
                        "sectionName": "http",
                        "port": 80,
                    }
                ],
                "podTemplate": POD_TEMPLATE,
            }
        }
    },
    {
        "dns01": {
            "cnameStrategy": "Follow",
            "nameservers": ["192.0.2.1:53", "[2001:db8::1]:5353", "https://dns.example/dns-query"],
            "akamai": {
                "serviceConsumerDomain": "akab.example",
                "clientTokenSecretRef": SECRET,
                "clientSecretSecretRef": SECRET,
                "accessTokenSecretRef": SECRET,
            },
        }
    },
    {
        "dns01": {
            "cnameStrategy": "None",
            "cloudDNS": {"project": "p", "serviceAccountSecretRef": SECRET, "hostedZoneName": "z"},
        }
    },
    {"dns01": {"cloudflare": {"email": "ops@example.com", "apiKeySecretRef": SECRET}}},
    {"dns01": {"cloudflare": {"apiTokenSecretRef": SECRET}}},
    {
        "dns01": {
            "route53": {
                "region": "eu-west-1",
                "hostedZoneID": "Z1",
                "role": "arn:aws:iam::1:role/x",
                "accessKeyIDSecretRef": SECRET,
                "secretAccessKeySecretRef": SECRET,
            }
        }
    },
    {
        "dns01": {
            "route53": {
                "accessKeyID": "",
                "secretAccessKeySecretRef": {"name": ""},
                "auth": {"kubernetes": {"serviceAccountRef": {"name": "dns", "audiences": ["sts"]}}},
            }
        }
    },
    {
        "dns01": {
            "azureDNS": AZURE
            | {
                "hostedZoneName": "z",
                "zoneType": "AzurePrivateZone",
                "environment": "AzurePublicCloud",
                "clientID": "c",
                "clientSecretSecretRef": SECRET,
                "tenantID": "t",
            }
        }
    },
    {"dns01": {"azureDNS": AZURE | {"managedIdentity": {"clientID": "c", "tenantID": "t"}}}},
    {"dns01": {"azureDNS": AZURE | {"managedIdentity": {"resourceID": "r"}}}},
    {"dns01": {"digitalocean": {"tokenSecretRef": SECRET}}},
    {"dns01": {"acmeDNS": {"host": "https://auth.example", "accountSecretRef": SECRET}}},
    {
        "dns01": {
            "rfc2136": {
                "nameserver": "[2001:db8::53]:5353",
                "tsigKeyName": "certmill.",
                "tsigSecretSecretRef": SECRET,
                "tsigAlgorithm": "hmacsha512",
                "protocol": "TCP",
            }
        }
    },
    {"dns01": {"rfc2136": {"nameserver": "ns1.example.com:53", "tsigSecretSecretRef": {"name": ""}}}},
    {
        "dns01": {
            "webhook": {
                "groupName": "acme.example",
                "solverName": "x",
                "config": {"anything": [1, {"a": None}]},
            }
        }
    },
]

FULL_ISSUER = an_issuer_body(
    email="ops@example.com",
    privateKeySecretRef={"name": "account", "key": "key.pem"},
    preferredChain="ISRG Root X1",
    profile="shortlived",
    caBundle=PEM,
    skipTLSVerify=False,
    externalAccountBinding={"keyID": "kid-1", "keySecretRef": SECRET, "keyAlgorithm": "HS256"},
    disableAccountKeyGeneration=True,
    enableDurationFeature=True,
    renewalInformationSource="ARI",
    solvers=SOLVERS,
)

OTHER_ISSUERS = {
    "ca": {
        "secretName": "ca",
        "crlDistributionPoints": ["http://crl.example"],
        "ocspServers": [],
        "issuingCertificateURLs": [],
    },
    "selfSigned": {},
    "vault": {
        "server": "https://vault.example",
        "path": "pki/sign/x",
        "auth": {"appRole": {"path": "a", "roleId": "r", "secretRef": SECRET}},
    },
    "venafi": {
        "zone": "z",
        "tpp": {"url": "https://tpp.example", "credentialsRef": {"name": "c"}, "caBundle": PEM},
    },
}

# Specs that cert-manager takes at the edges of its rules.
GOOD_CERTIFICATES = {
    "as little as there may be": {},
    "an hour, renewed 5 minutes before": {"duration": "1h", "renewBefore": "5m"},
    "renewed just before it begins": {"duration": "60m", "renewBefore": "59m59.999s"},
    "9 per cent of an hour": {"duration": "1h", "renewBeforePercentage": 9},
    "99 per cent": {"renewBeforePercentage": 99},
    "a century": {"duration": "876000h"},
    "the largest RSA key": {
        "privateKey": {"algorithm": "RSA", "size": 8192},
        "signatureAlgorithm": "SHA512WithRSA",
    },
    "the default size": {"privateKey": {"size": 0}},
    "the smallest ECDSA key": {
        "privateKey": {"algorithm": "ECDSA", "size": 256},
        "signatureAlgorithm": "ECDSAWithSHA256",
    },
    "an Ed25519 key of no size": {
        "privateKey": {"algorithm": "Ed25519", "size": 7},
        "signatureAlgorithm": "PureEd25519",
    },
    "an address alone": {"dnsNames": [], "ipAddresses": ["2001:db8::1"]},
    "a URI alone": {"dnsNames": [], "uris": ["spiffe://example.com/web"]},
    "an e-mail address alone": {"dnsNames": [], "emailAddresses": ["o'neill+x@example.com"]},
    "a common name alone": {"dnsNames": [], "commonName": "a" * 64},
    "a literal subject alone": {"dnsNames": [], "literalSubject": "O=Example, CN=web.example.com"},
    "a literal subject with escapes": {
        "literalSubject": (
            "CN=foo-long.com,OU=FooLong,OU=Barq,OU=Baz,OU=Dept.,O=Corp.,L=3100 Steet Rd\\, "
            "N.,DC=a,UID=7,2.5.4.42=J"
        )
    },
    "an empty literal subject beside a common name": {"literalSubject": "", "commonName": "web.example.com"},
    "an empty subject beside a literal one": {
        "literalSubject": "CN=web.example.com",
        "subject": {"organizations": [], "serialNumber": ""},
    },
    "a subject that ACME does not take": {"subject": {"countries": ["Germany"], "organizations": [""]}},
    "a hundred names": {"dnsNames": [f"n{n}.example.com" for n in range(100)]},
    "a thousand names": {"dnsNames": [f"n{n}.example.com" for n in range(1000)]},
    "somebody else's issuer": {
        "issuerRef": {"name": "a", "kind": "AWSPCAIssuer", "group": "awspca.cert-manager.io"}
    },
    "an issuer whose kind is empty": {"issuerRef": {"name": "a", "kind": "", "group": ""}},
    "a keystore as Go writes it": {
        "keystores": {"jks": {"create": True, "password": "hunter2", "passwordSecretRef": {"name": ""}}}
    },
    "null for what is not set": {
        "privateKey": None,
        "usages": None,
        "subject": None,
        "commonName": None,
        "duration": None,
    },
    "renewal disabled": {"renewal": {"policy": "Disabled"}},
}

GOOD_ISSUERS = {
    "as little as there may be": an_issuer_body(),
    "no solvers": an_issuer_body(solvers=None),
    "a CA on this machine": an_issuer_body(server="http://127.0.0.1:14000/dir"),
    "a CA's URL in capitals": an_issuer_body(server="HTTPS://ca.example/dir"),
    "a bundle in lines": an_issuer_body(caBundle=f"{PEM[:40]}\n{PEM[40:]}\n"),
    "an empty bundle": an_issuer_body(caBundle="", skipTLSVerify=True),
    "a bundle, TLS verified": an_issuer_body(caBundle=PEM, skipTLSVerify=False),
    "RFC 2136 by an IPv6 address alone": with_rfc2136(nameserver="2001:db8::53"),
    "RFC 2136 without a port": with_rfc2136(nameserver=" 192.0.2.53 "),
    "RFC 2136 with an empty algorithm": with_rfc2136(tsigAlgorithm=""),
    "Cloudflare's token beside an e-mail address": with_dns01(
        cloudflare={"email": "a@b.c", "apiTokenSecretRef": SECRET}
    ),
    "no wait": with_solver(http01={"ingress": {}}, waitInsteadOfSelfCheck="0s"),
    "an empty Ingress name beside a class": with_ingress(**{"name": "", "class": "nginx"}),
    "a hundred solvers": an_issuer_body(
        solvers=[
            {
                "selector": {"dnsZones": [f"z{n}.example"]},
                "dns01": {"cloudflare": {"apiTokenSecretRef": SECRET}},
            }
            for n in range(100)
        ]
    ),
}
