"""STAND-IN by the lead, to be overwritten."""
class CloudflareProvider:
    pass
