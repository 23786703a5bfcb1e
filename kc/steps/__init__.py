"""The functions that the rules of the workflow run, without Snakemake."""
