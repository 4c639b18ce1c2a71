"""Secrets, typed credentials and tokens: the services that the operator is built around, on Protocols."""
