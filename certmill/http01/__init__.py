"""HTTP-01 challenges (RFC 8555 §8.3): the shared responder, the self check, and routes to the responder.

`base` has the protocols. `responder` answers the CA, and `selfcheck` sends the CA's request first, by
`fetch`. In a cluster `route_choice` chooses the route, `ingress`, `edit_in_place` and `service` build the
objects, `kubernetes_routes` writes them, and `managed_fields` restores the owners of fields.
Forbidden here: Redis (the store is a protocol), ACME requests, Celery, and DNS-01 (the self check gets a
look-up function)."""
