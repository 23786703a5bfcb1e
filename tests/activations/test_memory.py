"""Recording holds one shard in memory for any number of images."""

import os
import subprocess
import sys
import textwrap

import pytest

RECORD = textwrap.dedent("""
    import sys
    from pathlib import Path
    import numpy as np, pandas as pd, torch
    from kc.activations.record import record_networks
    from kc.settings.feature_maps import Activations
    from kc.settings.recipes import Network, Recipe
    from kc.networks import build
    from kc.store import ArraySpec, StoreContent, StoreWriter, open_store
    from safetensors.torch import save_file
    from kc.store.product import Product

    out, count, whole = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "whole"
    torch.set_num_threads(1)
    rows = pd.DataFrame({"image_id": [f"{i:05d}" for i in range(count)], "label": 0})
    spec = ArraySpec("image", ("image", "channel", "y", "x"), (count, 3, 64, 64), "uint8")
    with StoreWriter(out / "images.zarr", "k", StoreContent([spec], rows, 64)) as writer:
        for shard in writer.missing():
            rows_here = writer.rows(shard)
            size = rows_here.stop - rows_here.start
            pixels = np.random.default_rng(shard).integers(0, 255, (size, 3, 64, 64), np.uint8)
            writer.write(shard, {"image": pixels})
        writer.finish()
    folder = out / "network"
    folder.mkdir()
    shape = Network()
    save_file(build("resnet18", 4, shape, 0).state_dict(), folder / "weights.safetensors")
    card = {"architecture": "resnet18", "classes": 4, "shape": shape.model_dump(mode="json")}
    Product(folder, "k").finish(card, ["weights.safetensors"])
    record_networks(
        {"network": folder}, ["maxpool"], open_store(out / "images.zarr"),
        Activations(shard_rows=count if whole else 64, batch_size=32), out, torch.device("cpu"),
    )
    # not ru_maxrss: that is never below the size of the process that started this one
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
""")


def peak(folder, count, how="shards"):
    """Return the peak memory of a process that records ``count`` images of 32 kB each, MB."""
    folder.mkdir()
    command = [sys.executable, "-c", RECORD, str(folder), str(count), how]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split()[-1])


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_peak_memory_does_not_grow_with_the_number_of_images(tmp_path):
    few, many = peak(tmp_path / "few", 128), peak(tmp_path / "many", 4096)
    # the store grew by 127 MB at 32 kB an image, its shards in float32 by 254; the same command
    # twice differs by up to 30 (allocator)
    assert many - few < 60
    # the counter-example: a shard of all images
    assert peak(tmp_path / "whole", 1536, "whole") - few > 60
