"""ACME client: the requests of RFC 8555 (ACME) and RFC 9773 (ARI). Each method sends one request and returns
frozen values.

The JSON of a JWS is written by hand, and urllib3 is used without `requests`: every certificate needs both,
and they are faster. Forbidden here: Redis, DNS, waiting (no sleep, no polling; the only loop is the bounded
retry after badNonce, RFC 8555 §6.5), decisions about the next step, and errors outside certmill/errors.py."""
