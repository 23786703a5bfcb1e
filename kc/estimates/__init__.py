"""Bytes, times and room on disk, before a run."""
