"""Similarity measures of two features: CKA, CCA, Procrustes and the best linear map."""
