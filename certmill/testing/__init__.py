"""The fakes that certmill ships: one for each protocol, held to the same port suite (tests/ports) as the real
thing.

Tests, of certmill and of services that use it, may import anything from here. Nothing that runs in production
may."""
