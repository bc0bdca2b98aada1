"""Keys, certificate requests, certificate chains, and the seal over keys in flight; on `cryptography` and
nothing else.

Bytes in, bytes or frozen values out: no I/O, no clock (the time is an argument), no Redis, no ACME. What
comes from outside is capped before it is parsed; what cannot be used is SecretUnusable, and no message, repr
or chained error ever holds content. Everyone above may import it."""
