"""Homes: where manifests, Secrets and status are kept, and the only truth. `base` is the protocol, `directory` the one on a file system.

A home translates and stores; it decides nothing. Forbidden here: Redis, ACME, DNS, Celery.
"""
