"""One record per study: its name, texts, settings, needs and outputs."""
