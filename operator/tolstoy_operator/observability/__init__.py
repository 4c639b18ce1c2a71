"""What the operator says about itself: metrics, logs, audit trail, health endpoints. Never a secret value."""
