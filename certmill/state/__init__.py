"""Redis, and only here: records of work in flight, the due-time indexes, locks, HTTP-01 key authorizations,
the journal of presented records.

Everything in here can be lost and is rebuilt from the home. `keys` builds every key; every change of more
than one key is a Lua script beside this file. Forbidden: decisions (they are in `pipeline`), homes, ACME,
Celery. Private keys enter only sealed (`crypto.seal`)."""
