"""Issuers: the account at the CA, its registration and back-off, credentials, and what waits for an issuer or
failed because of one.

Forbidden here: orders and challenges (they are in `steps`), Celery, Redis itself.
"""
