"""Ratios of two sides, measured in turn in one run; nothing here asserts a time."""
