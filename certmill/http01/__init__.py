"""HTTP-01 (RFC 8555 §8.3): the shared responder that answers the CA, the self check that asks as the CA
would, the way there in a cluster.

`base` is the protocol of the store behind the responder, `responder` serves it for the whole fleet,
`selfcheck` probes one name. `way` says how a challenge is led to the responder; `ingress` (an Ingress of its
own), `edit_in_place` (a path in the user's) and `service` build the objects for it, purely, `managed_fields`
gives the user's fields back, and `exposure` writes all that. Forbidden here: Redis (the store is a protocol),
ACME verbs, Celery, DNS-01 (the self check is given a function that looks names up)."""
