"""Defines the values that certmill works with: names, Issuers, Certificates, Secrets and their status; all
are frozen.

`manifests` parses them from cert-manager's YAML and names the path of a wrong field: `yaml_documents` reads
the text, `schema*` define the shapes (the only place for pydantic), `*_rules` check rules between fields.
Every other package may import `model`. Forbidden here: I/O, a clock, Redis, ACME."""
