"""The cost of many objects for the reconciler of a directory: counts operations, not seconds."""

from __future__ import annotations

from certmill.crypto import keys
from certmill.home.directory.home import DirectoryHome
from certmill.model.manifests.parse import certificate_document, dump_yaml
from tests.support.builders import ECDSA, a_certificate, a_chain, an_issuer
from tests.support.counting import counting, linear
from tests.support.mill import Mill

ISSUER = """\
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata:
  name: prod
spec:
  acme:
    server: https://ca.test/dir
    privateKeySecretRef:
      name: prod-account
    solvers:
    - http01:
        ingress: {}
"""


def test_adopting_pairs_without_annotations_costs_in_proportion_to_their_number(redis, tmp_path, monkeypatch):
    key_pem = keys.generate(ECDSA)
    chain, costs = a_chain(key_pem), []
    for number in (15, 30):
        redis.flushdb()
        home = DirectoryHome(tmp_path / str(number), cluster_resource_namespace="cert-manager")
        (tmp_path / str(number) / "manifests").mkdir(parents=True)
        (tmp_path / str(number) / "manifests" / "issuer.yaml").write_text(ISSUER)
        certificates = [a_certificate(name=f"site-{n}", secret_name=f"site-{n}") for n in range(number)]
        for certificate in certificates:
            home.apply(certificate, dump_yaml(certificate_document(certificate)))
            by_hand = tmp_path / str(number) / "secrets" / "default" / certificate.secret_name
            by_hand.mkdir(parents=True)
            (by_hand / "tls.crt").write_bytes(chain)
            (by_hand / "tls.key").write_bytes(key_pem)
        mill = Mill(redis, issuer=an_issuer())
        mill.use(home=home)
        home.survey()
        with counting(monkeypatch) as counts:
            found = [mill.reconciler.reconcile(certificate.id) for certificate in certificates]
        assert all(each.right for each in found)
        assert home.secret("default", "site-3").annotations["cert-manager.io/certificate-name"] == "site-3"
        costs.append(counts)

    assert linear(*costs), costs
