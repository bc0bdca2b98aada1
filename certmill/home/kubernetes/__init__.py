"""The home in the Kubernetes API: cert-manager's objects, Secrets by server-side apply, status, and events.

`home` has the protocol; nothing is cached here.
Forbidden here: Redis, files, watches (`controller` has them), and a decision about a certificate.
"""
