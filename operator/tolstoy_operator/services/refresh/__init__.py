"""Refreshing a rotating token exactly once, whatever crashes. The protocol's text: `docs/refresh-protocol.md`."""
