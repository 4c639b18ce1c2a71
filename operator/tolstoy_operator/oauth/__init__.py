"""All traffic with OAuth providers. The only package that imports the HTTP client library."""
