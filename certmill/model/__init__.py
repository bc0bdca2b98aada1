"""The values certmill works on: names, Issuers, Certificates, Secrets, their status; all frozen.

`manifests` parses them from cert-manager's YAML and names the path of a wrong field: `yaml_documents` reads,
`schema*` are the shapes (pydantic lives there and nowhere else in here), `*_rules` the rules between fields.
No I/O, no clock, no Redis, no ACME in this package. Everyone above may import it."""
