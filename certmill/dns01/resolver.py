"""STAND-IN by the lead, to be overwritten."""
class Resolver:
    def __init__(self, *a): pass
    def addresses(self, n): return ["127.0.0.1"]
