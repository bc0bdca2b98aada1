"""STAND-IN by the lead, to be overwritten."""
class MemoryProvider:
    def __init__(self): self.values = {}
    def present(self, r): self.values.setdefault(r.name, set()).add(r.value)
    def cleanup(self, r):
        self.values.get(r.name, set()).discard(r.value)
        if not self.values.get(r.name): self.values.pop(r.name, None)
