"""Ratios of two sides, measured alternately in one run; nothing here asserts a time."""
