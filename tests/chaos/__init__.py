"""Chaos on real parts: two clusters, three replicas each, one Secrets Manager, one strict authorization server.

Processes are killed and stopped at random and between the steps of the protocol, responses are lost after the server
has acted, the API servers and Secrets Manager go away. What counts is counted where it happens: requests and revoked
families at the authorization server, seconds without a valid token in the Secrets.
"""
