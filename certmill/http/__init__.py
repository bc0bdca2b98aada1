"""HTTP client for CAs, DNS APIs and DNS over HTTPS: every request has time-outs, a size limit and its own
trusted roots.

urllib3 is used without `requests`, because every certificate needs many requests and urllib3 needs half the
CPU. Forbidden here: ACME, DNS, retries, and decisions about the meaning of an answer."""
