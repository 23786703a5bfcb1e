"""Digests of files, and writing files completely or not at all."""
