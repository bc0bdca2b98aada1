"""Manages Issuers and ClusterIssuers: the account at the CA, its registration and back-off, the credentials,
and the Certificates that wait for an issuer or failed because of one.

Forbidden here: orders and challenges (they are in `steps`), Celery, Redis itself."""
