"""How long is waited for the other side, the same for all stores, all engines, and URLs."""

CONNECT = 10.0
"""Seconds in which a connection must stand, with TLS."""
SECONDS = 60.0
"""Seconds after which a try in which nothing moves is over."""
LEAST = 1 << 10
"""The bytes of an object's content that come in ``SECONDS`` of waiting for it; any other answer is whole by then."""
BRIEF = 10.0
"""Seconds for what is looked at or cleared once a request has used up its tries."""
