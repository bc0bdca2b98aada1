"""The implementation of the commands, one module per command. Each module is imported only when its command
runs, so that the other commands do not slow the start.

Forbidden: decisions about what happens next to a certificate, and imports at the top of a module that only
one option needs.
"""
