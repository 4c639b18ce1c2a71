"""An authorization server and a faulty network in front of it, for tests, chaos runs and the demo."""
