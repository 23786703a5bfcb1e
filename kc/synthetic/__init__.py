"""Drawn pictures, written in the layouts of real archives."""
