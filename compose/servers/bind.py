"""STAND-IN by the lead, to be overwritten."""
class Bind:
    pass
