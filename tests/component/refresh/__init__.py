"""The refresh protocol, one situation at a time, in a simulated world with fine weather."""
