"""Settings a user may change, one module for each group."""
