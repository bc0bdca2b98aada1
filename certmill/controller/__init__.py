"""The Kubernetes controller: it watches, and says what is to be looked at again; it writes nothing to the API itself.

`views` are the watched objects, stripped to what is decided from; `changes` decides (pure) what a change means, `adoption` which
certificates are right as they stand; `watch` lists and watches one resource; `leader` is the Lease; `ingress`, `virtualserver` and `shim`
plan the Certificates of annotated objects (pure). Forbidden here: writes to the API but the Lease (they are steps or small tasks), ACME,
Redis, Celery.
"""
