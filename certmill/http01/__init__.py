"""HTTP-01 (RFC 8555 §8.3): the shared responder that answers the CA, and the self check that asks as the CA would.

`base` is the protocol of the store behind the responder, `responder` serves it for the whole fleet, `selfcheck` probes one name.
Forbidden here: Redis (the store is a protocol), ACME verbs, Celery, DNS-01 (the self check is given a function that looks names up).
"""
