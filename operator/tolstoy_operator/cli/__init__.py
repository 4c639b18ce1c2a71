"""`kubectl tolstoy`: reads with the rights of the person who runs it."""
