"""Benchmarks on a real API server: the operator as a process of its own, and a baseline in the same run."""
