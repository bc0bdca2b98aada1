"""Bounded HTTP for CAs, DNS APIs and DNS over HTTPS: each request has time-outs, a size limit and the roots
that it may trust.

It knows no protocol above HTTP. urllib3 is used itself, because requests are on the hot path of every
certificate. Forbidden here: ACME, DNS, retries, and a decision about what an answer means."""
