"""DNS-01 challenges: TXT values are written to a DNS provider, and their propagation is checked.

`base` is the protocol of a provider; each provider has its own module. `zones` finds the zone of a name (SOA
walk, CNAMEs). `propagation` queries the authoritative servers. Both use `resolver`. A provider only writes
TXT values. A check returns a reason and never waits. Forbidden here: orders, Redis, homes, and a provider
that uses another provider.
"""
