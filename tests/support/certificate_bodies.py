"""Invalid Certificates, for the tests of the parser and of the rules in the CRD, with the expected
messages."""

from __future__ import annotations

# The objects that cert-manager's webhook refuses (internal/apis/certmanager/validation/certificate_test.go),
# and those that only ACME does.
WRONG_SPECS = {
    "no secret name": ({"secretName": ""}, "spec.secretName", "required"),
    "a wrong secret name": ({"secretName": "Web_TLS"}, "spec.secretName", "not a valid object name"),
    "a secret name that is a path": (
        {"secretName": "../../etc/passwd"},
        "spec.secretName",
        "not a valid object name",
    ),
    "no issuer": ({"issuerRef": {}}, "spec.issuerRef.name", "required"),
    "an empty issuer": ({"issuerRef": {"name": ""}}, "spec.issuerRef.name", "required"),
    "an issuer of an unknown kind": (
        {"issuerRef": {"name": "a", "kind": "VenafiIssuer"}},
        "spec.issuerRef.kind",
        "Issuer or ClusterIssuer",
    ),
    "an issuer as a string": ({"issuerRef": "ca"}, "spec.issuerRef", "must be a mapping"),
    "no names": ({"dnsNames": []}, "spec.dnsNames", "at least one name"),
    "null names": ({"dnsNames": None}, "spec.dnsNames", "at least one name"),
    "a common name alone": (
        {"dnsNames": [], "commonName": "a.example"},
        "spec.commonName",
        "add it to spec.dnsNames",
    ),
    "a common name that is no other name": (
        {"commonName": "other.example.com"},
        "spec.commonName",
        "one of the certificate's names",
    ),
    "a common name of words": ({"commonName": "My Web"}, "spec.commonName", "one of the certificate's names"),
    "a long common name": ({"commonName": "a" * 65}, "spec.commonName", "longer than 64"),
    "names as a string": ({"dnsNames": "foo"}, "spec.dnsNames", "must be a list"),
    "a number for a name": ({"dnsNames": ["a.example", 7]}, "spec.dnsNames[1]", "must be a string"),
    "a null name": ({"dnsNames": [None]}, "spec.dnsNames[0]", "must be a string"),
    "a bad name": (
        {"dnsNames": ["a.example", "b_c.example"]},
        "spec.dnsNames[1]",
        "'b_c.example' is not a valid DNS name",
    ),
    "an address among the names": (
        {"dnsNames": ["192.0.2.1"]},
        "spec.dnsNames[0]",
        "put it into ipAddresses",
    ),
    "a bad address": ({"ipAddresses": ["192.0.2.300"]}, "spec.ipAddresses[0]", "not a valid IP address"),
    "101 names": ({"dnsNames": [f"n{n}.example" for n in range(101)]}, "spec.dnsNames", "has 101 names"),
    "100 names and an address": (
        {"dnsNames": [f"n{n}.example" for n in range(100)], "ipAddresses": ["192.0.2.1"]},
        "spec.dnsNames",
        "has 101 names",
    ),
    "101 addresses": (
        {"dnsNames": [], "ipAddresses": [f"192.0.2.{n}" for n in range(101)]},
        "spec.ipAddresses",
        "has 101 names",
    ),
    "a short duration": ({"duration": "59m"}, "spec.duration", "at least 1h"),
    "a duration in days": ({"duration": "90d"}, "spec.duration", "such as"),
    "a duration as a number": ({"duration": 90}, "spec.duration", "duration as a string"),
    "a short renewBefore": ({"renewBefore": "4m"}, "spec.renewBefore", "at least 5m"),
    "a renewBefore as long as the default": (
        {"renewBefore": "2160h"},
        "spec.renewBefore",
        "shorter than spec.duration",
    ),
    "a renewBefore as long as the duration": (
        {"duration": "2h", "renewBefore": "2h"},
        "spec.renewBefore",
        "shorter than spec.duration",
    ),
    "both ways to say when": (
        {"renewBefore": "5h", "renewBeforePercentage": 5},
        "spec.renewBefore",
        "together",
    ),
    "a percentage of 0": ({"renewBeforePercentage": 0}, "spec.renewBeforePercentage", "from 1 to 99"),
    "a percentage of 100": ({"renewBeforePercentage": 100}, "spec.renewBeforePercentage", "from 1 to 99"),
    "a negative percentage": ({"renewBeforePercentage": -5}, "spec.renewBeforePercentage", "from 1 to 99"),
    "a percentage of a short life": (
        {"duration": "1h", "renewBeforePercentage": 8},
        "spec.renewBeforePercentage",
        "at least 5m",
    ),
    "a percentage in words": ({"renewBeforePercentage": "33"}, "spec.renewBeforePercentage", "whole number"),
    "a small RSA key": (
        {"privateKey": {"algorithm": "RSA", "size": 1024}},
        "spec.privateKey.size",
        "2048 to 8192",
    ),
    "a small key": ({"privateKey": {"size": 2047}}, "spec.privateKey.size", "2048 to 8192"),
    "a huge RSA key": ({"privateKey": {"size": 8196}}, "spec.privateKey.size", "2048 to 8192"),
    "a negative key": ({"privateKey": {"size": -1}}, "spec.privateKey.size", "2048 to 8192"),
    "a curve that is none": (
        {"privateKey": {"algorithm": "ECDSA", "size": 255}},
        "spec.privateKey.size",
        "256, 384 or 521",
    ),
    "an unknown key": (
        {"privateKey": {"algorithm": "DSA"}},
        "spec.privateKey.algorithm",
        "must be 'RSA', 'ECDSA' or 'Ed25519'",
    ),
    "a key in lower case": ({"privateKey": {"algorithm": "rsa"}}, "spec.privateKey.algorithm", "must be"),
    "an unknown encoding": (
        {"privateKey": {"encoding": "DER"}},
        "spec.privateKey.encoding",
        "'PKCS1' or 'PKCS8'",
    ),
    "an unknown rotation": (
        {"privateKey": {"rotationPolicy": "Often"}},
        "spec.privateKey.rotationPolicy",
        "'Never' or 'Always'",
    ),
    "a size as a boolean": ({"privateKey": {"size": True}}, "spec.privateKey.size", "whole number"),
    "a size as a float": ({"privateKey": {"size": 2048.0}}, "spec.privateKey.size", "whole number"),
    "a signature that does not suit RSA": (
        {"signatureAlgorithm": "ECDSAWithSHA256"},
        "spec.signatureAlgorithm",
        "for an RSA key",
    ),
    "a signature that does not suit ECDSA": (
        {"signatureAlgorithm": "SHA256WithRSA", "privateKey": {"algorithm": "ECDSA"}},
        "spec.signatureAlgorithm",
        "for an ECDSA key",
    ),
    "an unknown signature": ({"signatureAlgorithm": "MD5WithRSA"}, "spec.signatureAlgorithm", "must be"),
    "an unknown usage": (
        {"usages": ["server auth", "no usage"]},
        "spec.usages[1]",
        "'no usage' is not a usage",
    ),
    "encipher only alone": ({"usages": ["encipher only"]}, "spec.usages", "needs key agreement"),
    "no history": ({"revisionHistoryLimit": 0}, "spec.revisionHistoryLimit", "at least 1"),
    "an annotation of ours": (
        {"secretTemplate": {"annotations": {"cert-manager.io/alt-names": "x"}}},
        "spec.secretTemplate.annotations",
        "'cert-manager.io/alt-names' is not allowed",
    ),
    "a bad annotation": (
        {"secretTemplate": {"annotations": {"a b": "x"}}},
        "spec.secretTemplate.annotations",
        "not a valid key",
    ),
    "a bad label": ({"secretTemplate": {"labels": {"a": "x y"}}}, "spec.secretTemplate.labels", "label"),
    "a label as a number": (
        {"secretTemplate": {"labels": {"a": 1}}},
        "spec.secretTemplate.labels.a",
        "must be a string",
    ),
    "an output format twice": (
        {"additionalOutputFormats": [{"type": "DER"}, {"type": "DER"}]},
        "spec.additionalOutputFormats",
        "twice",
    ),
    "an unknown output format": (
        {"additionalOutputFormats": [{"type": "PEM"}]},
        "spec.additionalOutputFormats[0].type",
        "'DER' or 'CombinedPEM'",
    ),
    "a bad country": ({"subject": {"countries": ["Germany"]}}, "spec.subject.countries[0]", "two letters"),
    "an empty organization": (
        {"subject": {"organizations": [""]}},
        "spec.subject.organizations[0]",
        "must not be empty",
    ),
    "two lines": ({"subject": {"organizations": ["a\nb"]}}, "spec.subject.organizations[0]", "one line"),
    "a serial number that X.520 does not know": (
        {"subject": {"serialNumber": "№ 7"}},
        "spec.subject.serialNumber",
        "PrintableString",
    ),
    "an unknown field": ({"dnsName": ["a.example"]}, "spec.dnsName", "not a known field"),
    "an unknown field deep down": (
        {"privateKey": {"algoritm": "RSA"}},
        "spec.privateKey.algoritm",
        "not a known field",
    ),
    "a boolean as a string": (
        {"encodeUsagesInRequest": "false"},
        "spec.encodeUsagesInRequest",
        "true or false",
    ),
    "a bad e-mail address": (
        {"emailAddresses": ["Ops <ops@example.com>"]},
        "spec.emailAddresses[0]",
        "e-mail address",
    ),
    "a subject in two ways": (
        {"literalSubject": "CN=a", "subject": {"organizations": ["x"]}},
        "spec.literalSubject",
        "together with spec.subject",
    ),
    "a literal subject that is none": (
        {"literalSubject": "web.example.com"},
        "spec.literalSubject",
        "not an attribute of a name",
    ),
    "a literal subject of an unknown attribute": (
        {"literalSubject": "Foo=a,CN=web.example.com"},
        "spec.literalSubject",
        "not a known attribute",
    ),
    "a literal subject's common name that is no other name": (
        {"literalSubject": "CN=other.example.com"},
        "spec.literalSubject",
        "one of the certificate's names",
    ),
    "a literal subject's long common name": (
        {"literalSubject": f"CN={'a' * 60}.example.com", "dnsNames": [f"{'a' * 60}.example.com"]},
        "spec.literalSubject",
        "longer than 64",
    ),
    "a literal subject's bad country": (
        {"literalSubject": "C=Germany,O=a"},
        "spec.literalSubject",
        "two letters",
    ),
    "a literal subject alone": (
        {"literalSubject": "CN=web.example.com", "dnsNames": []},
        "spec.dnsNames",
        "at least one name",
    ),
    "an e-mail address with its scheme": (
        {"emailAddresses": ["mailto:ops@example.com"]},
        "spec.emailAddresses[0]",
        "e-mail address",
    ),
    "a common name in two ways": (
        {"literalSubject": "CN=a", "commonName": "a"},
        "spec.literalSubject",
        "together with spec.commonName",
    ),
    "a keystore without a password": (
        {"keystores": {"jks": {"create": True}}},
        "spec.keystores.jks",
        "exactly one of",
    ),
    "a keystore with two passwords": (
        {
            "keystores": {
                "pkcs12": {
                    "create": True,
                    "password": "hunter2",
                    "passwordSecretRef": {"name": "a", "key": "b"},
                }
            }
        },
        "spec.keystores.pkcs12",
        "exactly one of",
    ),
    "a keystore with an empty password": (
        {"keystores": {"jks": {"create": True, "password": ""}}},
        "spec.keystores.jks.password",
        "empty",
    ),
    "an unknown keystore profile": (
        {"keystores": {"pkcs12": {"create": True, "password": "hunter2", "profile": "New"}}},
        "spec.keystores.pkcs12.profile",
        "must be",
    ),
    "a bad otherName": (
        {"otherNames": [{"oid": "1.x", "utf8Value": "a"}]},
        "spec.otherNames[0].oid",
        "object identifier",
    ),
    "an empty otherName": (
        {"otherNames": [{"oid": "1.2.3", "utf8Value": ""}]},
        "spec.otherNames[0].utf8Value",
        "empty",
    ),
    "constraints without a CA": ({"nameConstraints": {"permitted": {}}}, "spec.nameConstraints", "isCA"),
    "empty constraints": (
        {"isCA": True, "nameConstraints": {}},
        "spec.nameConstraints",
        "permitted or excluded",
    ),
    "a bad network": (
        {"isCA": True, "nameConstraints": {"permitted": {"ipRanges": ["192.0.2.0/33"]}}},
        "spec.nameConstraints.permitted.ipRanges[0]",
        "not a network",
    ),
    "windows without renewal": (
        {"renewal": {"policy": "Disabled", "windows": [{"cron": "0 0 * * *", "windowDuration": "1h"}]}},
        "spec.renewal.windows",
        "Disabled",
    ),
    "an unknown renewal policy": ({"renewal": {"policy": "Never"}}, "spec.renewal.policy", "must be"),
    "a bad cron": (
        {"renewal": {"policy": "RenewBefore", "windows": [{"cron": "daily", "windowDuration": "1h"}]}},
        "spec.renewal.windows[0].cron",
        "five fields",
    ),
    "a cron of the 32nd": (
        {"renewal": {"policy": "RenewBefore", "windows": [{"cron": "0 0 32 * *", "windowDuration": "1h"}]}},
        "spec.renewal.windows[0].cron",
        "Bad day-of-month",
    ),
    "an unknown time zone": (
        {
            "renewal": {
                "policy": "RenewBefore",
                "windows": [{"cron": "0 0 * * *", "windowDuration": "1h", "timezone": "../Mars"}],
            }
        },
        "spec.renewal.windows[0].timezone",
        "not a time zone",
    ),
}
