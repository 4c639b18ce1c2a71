"""All traffic with the Kubernetes API. The only package that imports the client library."""
