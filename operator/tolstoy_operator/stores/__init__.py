"""Where upstream secrets live: AWS Secrets Manager, or an embedded SQLite file."""
