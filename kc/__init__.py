"""Knowledge consistency between neural networks: what two trained networks both know."""
