"""STAND-IN by the lead, to be overwritten by the helper's version."""
from __future__ import annotations
from collections.abc import Mapping
from dataclasses import dataclass, field
import base64, yaml
from certmill.errors import InvalidManifest
from certmill.model.certificate import *
from certmill.model.issuer import *
from certmill.model.names import CertificateId
from certmill.model.secret import Secret

@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    source: str; kind: str; namespace: str; name: str
    value: Certificate | Issuer | Secret
    text: str = field(repr=False)

def _ref(r, d): return SecretKeyRef(name=r["name"], key=r.get("key", d))
def parse_certificate(body, *, source="", default_namespace="default"):
    m, s = body["metadata"], body["spec"]
    pk = s.get("privateKey", {}); alg = KeyAlgorithm(pk.get("algorithm", "RSA"))
    return Certificate(namespace=m.get("namespace", default_namespace), name=m["name"], secret_name=s["secretName"],
        issuer_ref=IssuerRef(name=s["issuerRef"]["name"], kind=s["issuerRef"].get("kind", "Issuer"), group=s["issuerRef"].get("group", "")),
        common_name=s.get("commonName", ""), dns_names=tuple(s.get("dnsNames", ())), ip_addresses=tuple(s.get("ipAddresses", ())),
        private_key=PrivateKeySpec(algorithm=alg, size=pk.get("size", 2048 if alg == "RSA" else 256), encoding=KeyEncoding(pk.get("encoding", "PKCS1")), rotation_policy=RotationPolicy(pk.get("rotationPolicy", "Always"))))
def _issuer(b):
    m, a = b["metadata"], b["spec"]["acme"]; solvers = []
    for s in a.get("solvers", ()):
        sel = s.get("selector"); d = s.get("dns01")
        dn = None
        if d:
            r = d["rfc2136"]; host, _, port = r["nameserver"].partition(":")
            dn = Dns01Solver(provider=Rfc2136(nameserver=host, port=int(port or 53), tsig_key_name=r.get("tsigKeyName", ""), tsig_secret=_ref(r["tsigSecretSecretRef"], ""), tsig_algorithm=TsigAlgorithm(r["tsigAlgorithm"])))
        solvers.append(Solver(selector=Selector(dns_zones=tuple(sel.get("dnsZones", ()))) if sel else None, http01=Http01Solver() if "http01" in s else None, dns01=dn))
    e = a.get("externalAccountBinding")
    return Issuer(kind=b["kind"], namespace=m.get("namespace", "") if b["kind"] == "Issuer" else "", name=m["name"], server=a["server"], email=a.get("email", ""), private_key=_ref(a["privateKeySecretRef"], "tls.key"), ca_bundle=base64.b64decode(a["caBundle"]) if a.get("caBundle") else None, preferred_chain=a.get("preferredChain", ""), profile=a.get("profile", ""), solvers=tuple(solvers), external_account_binding=ExternalAccountBinding(key_id=e["keyID"], key_secret_ref=_ref(e["keySecretRef"], "")) if e else None, account_key_algorithm=(m.get("annotations") or {}).get("certmill.io/account-key-algorithm", "RSA-2048"))
def parse_documents(text, *, source, default_namespace="default"):
    out, errors = [], []
    for n, b in enumerate(yaml.safe_load_all(text), 1):
        if not b: continue
        k = b["kind"]; m = b["metadata"]
        if k == "Certificate": v = parse_certificate(b); ns = v.namespace
        elif k == "Secret":
            ns = m.get("namespace", default_namespace); v = Secret(namespace=ns, name=m["name"], data={k2: v2.encode() for k2, v2 in b.get("stringData", {}).items()})
        else: v = _issuer(b); ns = v.namespace
        out.append(Document(source=source, kind=k, namespace=ns, name=m["name"], value=v, text=dump_yaml(b)))
    return out, errors
def parse_request(body):
    ns = body.get("namespace", "default"); s = dict(body["spec"]); s.setdefault("secretName", body["name"])
    r = s["issuerRef"]; c = parse_certificate({"metadata": {"name": body["name"], "namespace": ns}, "spec": {**s, "issuerRef": {"kind": "", **r}}})
    return c
def parse_renewal(body): return CertificateId(f"{body.get('namespace','default')}/{body['name']}")
def certificate_document(c):
    return {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": c.name, "namespace": c.namespace}, "spec": {"secretName": c.secret_name, "issuerRef": {"name": c.issuer_ref.name, "kind": c.issuer_ref.kind}, "dnsNames": list(c.dns_names), "ipAddresses": list(c.ip_addresses), "commonName": c.common_name, "privateKey": {"algorithm": str(c.private_key.algorithm), "size": c.private_key.size, "encoding": str(c.private_key.encoding), "rotationPolicy": str(c.private_key.rotation_policy)}}}
def dump_yaml(obj): return yaml.safe_dump(obj, sort_keys=False)
