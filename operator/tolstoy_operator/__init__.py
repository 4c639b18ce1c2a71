"""The Tolstoy credential operator: third-party credentials kept alive inside Kubernetes."""
