"""STAND-IN by the lead, to be overwritten."""
class Zones:
    def __init__(self, *a): pass
    def zone_of(self, n): return ".".join(n.split(".")[-2:])
    def follow_cnames(self, n): return n
