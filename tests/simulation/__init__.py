"""A deterministic simulation of the refresh protocol: the real protocol code on a simulated world."""
