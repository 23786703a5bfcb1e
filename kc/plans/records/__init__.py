"""One record a study: what it is called and told, what it needs, and what it writes."""
