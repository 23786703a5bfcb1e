"""Tables and figures: frames in, files out. Nothing here computes a result."""
