"""Keys, certificate requests, certificate chains, and encryption of private keys in Redis.

Functions take bytes and return bytes or frozen values. Input from outside has a size limit before it is
parsed; unusable input raises SecretUnusable. Messages, reprs and chained errors never contain key material.
Forbidden here: I/O, a clock (the time is an argument), Redis, ACME, and libraries other than
`cryptography`."""
