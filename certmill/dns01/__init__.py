"""DNS-01: `base` is the protocol of a provider, one module a provider; `zones` finds the zone (SOA walk,
CNAMEs), `propagation` asks the servers, both through `resolver`.

A provider writes TXT values and knows nothing of orders, Redis, homes or other providers; a check answers
with a reason and never waits."""
