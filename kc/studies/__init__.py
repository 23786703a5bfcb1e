"""The papers' claims, one file each: what is measured, how surely, beside what they print."""
