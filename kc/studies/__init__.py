"""Studies of the papers' claims, a module each: measurements, intervals and printed values."""
