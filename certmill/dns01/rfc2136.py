"""STAND-IN by the lead, to be overwritten."""
class Rfc2136Provider:
    pass
