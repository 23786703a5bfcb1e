"""Names of packages that differ between conda and PyPI."""

CONDA = {
    "torch": "pytorch",
    "xxhash": "python-xxhash",
    "matplotlib": "matplotlib-base",
    "dask": "dask-core",
}
PYPI = {conda: pypi for pypi, conda in CONDA.items()}
