"""The Kubernetes controller: it watches objects and makes reconcile requests. Its process writes only its
Lease.

`watch` lists and watches one resource, `views` keeps the needed fields of objects, `changes` decides which
objects to reconcile, `controller` joins them, `leader` holds the Lease. `ingress` and `virtualserver` read
the desired Certificates, `observed` the existing ones, `shim` compares both, and `shims` writes the
difference in a small task. Forbidden here: ACME, Redis, Celery, steps of a run."""
