"""The fakes that certmill ships: one for each protocol. Each passes the same port suite (tests/ports) as the
real implementation.

Tests of certmill, and of services that use it, may import anything from here. Forbidden: imports of this
package by code that runs in production.
"""
