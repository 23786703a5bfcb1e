"""Similarity measures of two features: CKA and its kin."""
