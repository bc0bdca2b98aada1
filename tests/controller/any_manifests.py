"""Manifests put together at random from good values and bad ones: to hold the CRDs and certmill's own reading
of a manifest together."""

from __future__ import annotations

import re

from hypothesis import strategies as st

from tests.support.manifest_bodies import a_certificate_body, an_issuer_body

FIELD = re.compile(r"\[[^]]*\]")
"""An index in the path of a field."""

ONLY_IN_CERTMILL = {
    "spec.acme.server",  # https, or this machine
    "spec.acme.email",
    "spec.acme.caBundle",  # to look into a bundle is beyond what a rule may cost
    "spec.acme.solvers.selector.dnsNames",
    "spec.acme.solvers.selector.dnsZones",
    "spec.commonName",  # ACME: one of the names
    "spec.literalSubject",
    "spec.dnsNames",
    "spec.ipAddresses",
    "spec.usages",  # RFC 5280: encipher only needs key agreement
    "spec.subject.countries",
    "spec.subject.organizations",
}

SECRETS = st.sampled_from(
    [{"name": "a", "key": "b"}, {"name": "a", "key": "b"}, {"name": "", "key": "b"}, {"name": "a"}, {}]
)
TEXTS = st.sampled_from(["", "a"])
FLAGS = st.sampled_from([True, False])
DURATIONS = st.sampled_from(
    ["0s", "-1s", "5m", "4m59s", "1h", "59m", "2160h", "2160h0m0s", "90d", "", "1.5h", "+2h", "0"]
)


def some(**fields):
    """A mapping with up to three of these fields: with more of them, nearly all would be refused for several
    reasons at once."""
    chosen = st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: fields[name] for name in names}))


def one_of(*values):
    return st.sampled_from(values)


def given(base, fields):
    """`base`, and of these fields some."""
    return fields.map(lambda chosen: base | chosen)


_COMMON = some(
    selector=some(
        matchLabels=one_of({}, {"a": "b"}, {"a": "x@y"}),
        dnsNames=one_of([], ["*.example.com"], ["a_b"]),
        dnsZones=one_of([], ["example.com"], ["*.example.com"]),
    ),
    waitInsteadOfSelfCheck=DURATIONS,
)
_HTTP01 = some(
    **{"class": TEXTS},
    ingressClassName=one_of("nginx", "azure/gateway", ""),
    name=one_of("", "web"),
    serviceType=one_of("", "ClusterIP", "NodePort", "LoadBalancer"),
    podTemplate=one_of({}, {"metadata": {}, "spec": {"resources": {"limits": {"cpu": 1}}}}),
    ingressTemplate=one_of({}, {"metadata": {"labels": {"a": "b"}}}),
).map(lambda ingress: {"http01": {"ingress": ingress}})
_PROVIDERS = {
    "rfc2136": given(
        {"nameserver": "192.0.2.1"},
        some(
            nameserver=one_of(
                "192.0.2.1", "ns.example:53", "[2001:db8::1]:53", "2001:db8::1", ":53", "192.0.2.1:dns", ""
            ),
            tsigKeyName=one_of("", "k", "k."),
            tsigSecretSecretRef=SECRETS,
            tsigAlgorithm=one_of("", "hmacsha256", "HMACSHA512", "HMACSHA3"),
            protocol=one_of("UDP", "TCP", "udp"),
        ),
    ),
    "cloudflare": given(
        {"apiTokenSecretRef": {"name": "a", "key": "b"}},
        some(email=one_of("", "a@b.example"), apiTokenSecretRef=SECRETS, apiKeySecretRef=SECRETS),
    ),
    "route53": some(accessKeyID=TEXTS, accessKeyIDSecretRef=SECRETS, secretAccessKeySecretRef=SECRETS),
    "azureDNS": given(
        {"subscriptionID": "s", "resourceGroupName": "g"},
        some(
            clientID=TEXTS,
            tenantID=TEXTS,
            clientSecretSecretRef=SECRETS,
            managedIdentity=some(clientID=TEXTS, resourceID=TEXTS, tenantID=TEXTS),
        ),
    ),
}
_DNS01 = st.builds(
    lambda common, provider: {"dns01": common | provider},
    some(
        cnameStrategy=one_of("None", "Follow", "follow"),
        nameservers=st.lists(
            one_of(
                "192.0.2.1:53",
                "[2001:db8::1]:53",
                "ns.example:53",
                "https://dns.example/q",
                "https://",
                "192.0.2.1",
            )
        ),
    ),
    st.one_of(*[fields.map(lambda chosen, name=name: {name: chosen}) for name, fields in _PROVIDERS.items()]),
)
_SOLVERS = st.builds(lambda common, challenge: common | challenge, _COMMON, _HTTP01 | _DNS01)


def any_issuers():
    """Issuers and ClusterIssuers."""
    acme = some(
        email=one_of("", "ops@example.com", "x y"),
        server=one_of("https://ca.example/dir", "http://ca.example/dir", "ca.example", ""),
        preferredChain=one_of("", "ISRG Root X1", "x" * 65),
        caBundle=one_of("", "LS0t", "!"),
        skipTLSVerify=FLAGS,
        externalAccountBinding=given(
            {"keyID": "a", "keySecretRef": {"name": "a", "key": "b"}},
            some(keyID=TEXTS, keySecretRef=SECRETS, keyAlgorithm=one_of("HS256", "HS512", "MD5")),
        ),
        privateKeySecretRef=given({"name": "a"}, some(name=one_of("a", ""), key=one_of("", "tls.key"))),
        disableAccountKeyGeneration=FLAGS,
        enableDurationFeature=FLAGS,
        profile=TEXTS,
        renewalInformationSource=one_of("ARI", "None", "none"),
        solvers=st.lists(_SOLVERS, max_size=2),
    )
    return st.builds(
        lambda kind, fields: an_issuer_body(kind=kind, **fields), one_of("Issuer", "ClusterIssuer"), acme
    )


def any_certificates():
    """Certificates."""
    password = given(
        {"create": False},
        some(
            create=FLAGS,
            password=one_of("hunter2", ""),
            passwordSecretRef=one_of({"name": ""}, {"name": "a", "key": "b"}, {}),
        ),
    )
    spec = some(
        secretName=one_of("web-tls", "Web", ""),
        commonName=one_of("", "web.example.com", "x" * 65),
        literalSubject=one_of("", "CN=web.example.com,O=a", "O=a", "Foo=a", "web", r"O=a\, b+OU=c"),
        subject=some(
            organizations=one_of([], ["a"], [""]),
            countries=one_of(["DE"], ["Germany"]),
            serialNumber=one_of("", "7"),
        ),
        dnsNames=one_of(["web.example.com"], ["web.example.com"], [], ["a_b"]),
        ipAddresses=one_of([], ["192.0.2.1"], ["192.0.2.300"], ["::FFFF:192.0.2.1"]),
        uris=one_of([], ["spiffe://a/b"]),
        emailAddresses=one_of([], ["a@b.example"], ["A <a@b.example>"], ["mailto:a@b.example"]),
        otherNames=one_of(
            [], [{"oid": "1.2.3", "utf8Value": "a"}], [{"oid": "1.x", "utf8Value": "a"}], [{"oid": "1.2.3"}]
        ),
        duration=DURATIONS,
        renewBefore=DURATIONS,
        renewBeforePercentage=one_of(0, 1, 8, 9, 50, 99, 100),
        renewal=given(
            {"policy": "RenewBefore"},
            some(
                policy=one_of("RenewBefore", "Disabled", "x"),
                windows=one_of([], [{"cron": "0 0 * * *", "windowDuration": "1h"}]),
            ),
        ),
        privateKey=some(
            algorithm=one_of("RSA", "ECDSA", "Ed25519", "DSA"),
            size=one_of(0, 256, 384, 2047, 2048, 8192, 8193),
            encoding=one_of("PKCS1", "PKCS8", "DER"),
            rotationPolicy=one_of("Always", "Never", "x"),
        ),
        signatureAlgorithm=one_of("SHA256WithRSA", "ECDSAWithSHA256", "PureEd25519", "x"),
        usages=one_of([], ["server auth"], ["encipher only"], ["x"]),
        encodeUsagesInRequest=FLAGS,
        isCA=FLAGS,
        nameConstraints=one_of(
            {},
            {"critical": True},
            {"permitted": {"ipRanges": ["192.0.2.0/24"]}},
            {"excluded": {"ipRanges": ["x"]}},
        ),
        revisionHistoryLimit=one_of(0, 1),
        secretTemplate=some(
            labels=one_of({}, {"a": "b"}, {"a b": "c"}, {"a": "b c"}),
            annotations=one_of({}, {"a": "b"}, {"cert-manager.io/x": "y"}),
        ),
        keystores=some(jks=password, pkcs12=password),
        additionalOutputFormats=st.lists(
            one_of({"type": "DER"}, {"type": "CombinedPEM"}, {"type": "PEM"}), max_size=2
        ),
        issuerRef=some(
            name=one_of("ca", "ca", ""),
            kind=one_of("", "Issuer", "Other"),
            group=one_of("", "cert-manager.io", "other.example"),
        ),
    )
    return spec.map(lambda fields: a_certificate_body(**fields))
