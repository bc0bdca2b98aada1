"""Homes: where manifests, Secrets and status are stored. A home is the only source of truth.

`base` has the protocols Manifests, Secrets and Statuses, and Home, which is all three. `directory` implements
them on a file system, `kubernetes` in a cluster. `cached` caches the reads of another home. `seal_keys` are
on a file system in both cases. A home translates and stores; it makes no decisions. Forbidden here: Redis,
ACME, DNS, Celery.
"""
