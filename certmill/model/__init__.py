"""The values certmill works on: names, Issuers, Certificates, Secrets, their status; all frozen.

`manifests` parses them from cert-manager's YAML (pydantic lives there and nowhere else in here) and names the path of a wrong field.
No I/O, no clock, no Redis, no ACME in this package. Everyone above may import it.
"""
