"""Tokens of a real authorization server, refreshed by a real operator: counted at the server, seen from outside."""
