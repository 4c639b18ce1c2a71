"""Real counterparts of the operator for the demo, the tests and the benchmarks."""
