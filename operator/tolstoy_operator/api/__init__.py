"""The `tolstoy.dev/v1` API: names, models and the closed list of reasons. Pure."""
