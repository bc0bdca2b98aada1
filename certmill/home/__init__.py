"""Homes: where manifests, Secrets and status are kept, and the only truth. `base` is the protocol; `recent`
remembers another's reads.

`directory` is the one on a file system (with `layout`, `files`, `documents`, `manifest_*`, `secret_*`,
`status_files`, `ownership`),
`kubernetes` the one in a cluster (with `kubernetes_*`); `seal_keys` are kept on a file system in both cases.
A home translates and stores; it decides nothing. Forbidden here: Redis, ACME, DNS, Celery.
"""
