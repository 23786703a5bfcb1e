"""What a user may set: one module a group of settings."""
