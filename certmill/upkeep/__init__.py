"""Does the periodic work: publishes due wake-ups, starts renewals, reads the home again, and cleans up what a
crash left in DNS or with the responder.

Everything here is idempotent: any number of ticks may run at once. Forbidden here: to decide about a
Certificate or an issuer itself (`certificates` and `issuers` do that), Celery, Redis itself."""
