"""Drawn pictures in the real archives' layouts."""
