"""What the ticks do: publish what is due, start renewals, read the home again, and remove what a crash left
in DNS or with the responder.

Everything here is idempotent: any number of ticks may run at once. Forbidden here: to decide about a
certificate or an issuer itself (`certificates` and `issuers` do that), Celery, Redis itself."""
