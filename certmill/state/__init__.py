"""Everything that certmill stores in Redis: records of runs in flight, due-time indexes, locks, HTTP-01 key
authorizations and the journal of presented records.

All of it can be lost: it is rebuilt from the home. `keys` builds every key. A change of more than one key is
a Lua script beside this file. Forbidden: decisions (they are in `runs`, `renewal`, `certificates` and
`issuers`), homes, ACME, Celery. Private keys enter only sealed (`crypto.seal`)."""
