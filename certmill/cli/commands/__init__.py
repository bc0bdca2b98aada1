"""One module a command. Each is imported when its command is called, so that the others do not slow the
start.

Forbidden here: to decide what happens next to a certificate, and to import at the top what only one option
needs."""
