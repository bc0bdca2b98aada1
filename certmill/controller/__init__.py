"""The Kubernetes controller: it watches, and says what is to be looked at again; the process writes nothing
to the API but its Lease.

`views` are the watched objects, stripped to what is decided from; `changes` decides what a change means,
`watch` lists and watches one resource, `controller` is all of them together, `leader` the Lease. `ingress`
(with `ingress_annotations`) and `virtualserver` read an owner into what it wishes for, `existing` the
Certificates that are there, `shim` compares the two; `shims` acts on that, for a small task. Forbidden here:
ACME, Redis, Celery, steps of a run."""
