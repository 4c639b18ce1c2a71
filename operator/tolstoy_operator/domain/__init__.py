"""Pure rules of the product: no I/O, no clock of its own, no randomness of its own."""
