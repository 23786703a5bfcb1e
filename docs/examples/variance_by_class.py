"""Per-class variance of x^Delta, from a components store larger than memory, on a dask cluster.

    python docs/examples/variance_by_class.py results/components/FIT.json by_class.csv

On SLURM, use this instead of ``LocalCluster`` (needs ``pip install dask-jobqueue``):

    from dask_jobqueue import SLURMCluster
    cluster = SLURMCluster(cores=4, processes=4, memory="16GB", walltime="01:00:00")
    cluster.scale(jobs=8)

Each worker opens the store itself, so its path must be visible from all nodes: a shared file
system, or ``s3://bucket/prefix/components/FIT.zarr``.
"""

import sys

import xarray as xr
from dask.distributed import Client, LocalCluster

from kc.store import open_store


def variance_by_class(path: str) -> xr.DataArray:
    """Compute the variance of x^Delta over images and positions, by class and channel.

    The mean is that of each class. A worker holds one shard of the store at a time.
    """
    store = open_store(path)
    delta = store.attributes["component"].index("xdelta")
    component = store["component"].to_xarray(shards_per_chunk=1)
    values = component.isel(component=delta).astype("float64")
    positions = [dim for dim in values.dims if dim not in ("image", "channel", "unit")]
    # moments by shard, then by class: no worker ever holds more than a shard
    first, second = values.mean(positions), (values**2).mean(positions)
    by_class = [part.groupby("label").mean("image") for part in (first, second)]
    return (by_class[1] - by_class[0] ** 2).rename("variance").compute()


if __name__ == "__main__":
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, memory_limit="2GB") as cluster,
        Client(cluster),
    ):
        found = variance_by_class(sys.argv[1])
    found.to_dataframe()["variance"].unstack("label").to_csv(sys.argv[2])
