"""The Kubernetes side that decides: it watches and translates, and writes nothing itself.

`ingress` (with `ingress_annotations`) and `virtualserver` read an owner into what it wishes for, `existing` reads the Certificates that are
there, `shim` compares the two. All of it is pure: JSON objects of the API in, a plan out.
Forbidden here: writes to the API (they are steps or small tasks), ACME, Redis itself.
"""
