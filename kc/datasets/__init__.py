"""Readers of data sets in their archives' layouts, and their download."""
