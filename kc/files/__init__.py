"""The user's files and kc's own: digests, and writing whole or not at all."""
