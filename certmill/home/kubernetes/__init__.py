"""The home in the Kubernetes API: cert-manager's objects, Secrets by server-side apply, status, and events.

`home` implements the protocol; nothing is cached here. Forbidden here: Redis, files, watches (`controller`
has them), and decisions about a certificate."""
