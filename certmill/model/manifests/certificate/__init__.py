"""Manifests of Certificates: `schema` describes the fields, `names`, `rules` and `refusals` check them and
build the Certificate, `document` writes it back.

Forbidden here: I/O, and the manifests of other kinds."""
