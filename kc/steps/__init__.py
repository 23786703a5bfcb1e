"""What a rule of the workflow runs, without Snakemake."""
