"""The DNS-01 providers of certmill: one module or package for each, found by
`certmill.model.manifests.issuer.dns01`.

A provider's module has three things: its schema (what a manifest may say), its configuration (the parsed
values, and the Secrets that it needs), and `PROVIDER`, which is the schema. It imports its client, and the
libraries for it, when it builds a provider: the command reads manifests without them. Forbidden here: a
provider that imports another.
"""
