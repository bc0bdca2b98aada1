"""Manifests of Issuers and ClusterIssuers: `*schema` describe the fields, `*rules` check them and build the
Issuer with its solvers. `dns01` finds the DNS-01 providers.

Forbidden here: I/O, and the manifests of other kinds."""
