"""RFC 8555 (ACME) and RFC 9773 (ARI) as verbs: each is one request, and answers with frozen values.

It knows neither Redis nor DNS, and never waits: no sleep, no poll, no loop but the bounded retry of a refused
nonce (RFC 8555 §6.5). The JSON of a JWS is made by hand, and requests by urllib3 itself, because both are on
the hot path of every certificate. Forbidden: anything that decides what to do next, and any error that is not
of certmill/errors.py."""
