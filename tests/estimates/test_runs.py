from math import prod

import pytest
import torch

from kc.estimates.runs import estimate, feature_shapes
from kc.networks import build, record
from kc.plans.products import networks_of, nodes_of
from kc.plans.studies import plan_of
from kc.settings.load import load_settings

RAW = {
    "datasets": {"birds": {"size": 64, "generated": {"classes": 3, "images_per_class": 30}}},
    "networks": {"resnet34": {"width": 0.25, "small_input": True}},
    "activations": {"shard_rows": 32},
    "consistency": {"components": "test"},
    "stability": {"dataset": "birds", "layers": {"resnet34": ["last_conv"]}, "half_splits": 1},
}


def test_shapes_equal_those_of_a_real_forward_pass():
    settings = load_settings(RAW)
    fits = plan_of(settings, "stability").fits
    network = networks_of(fits)[0]
    model = build("resnet34", 3, settings.network("resnet34"), 0)
    found = record(model, nodes_of(network, fits), torch.rand(2, 3, 64, 64))
    assert feature_shapes(settings, network, fits) == {
        node: tuple(feature.shape[1:]) for node, feature in found.items()
    }


def test_bytes_of_stores_are_counted_by_full_shards():
    settings = load_settings(RAW)
    plan = plan_of(settings, "stability")
    fits = plan.fits
    shapes = feature_shapes(settings, networks_of(fits)[0], fits)
    table = estimate(settings, [plan]).set_index("product")
    networks = len(networks_of(fits))
    # 90 images fill 3 shards of 32; float16
    assert table.loc["activations", "bytes"] == networks * 96 * 2 * sum(map(prod, shapes.values()))
    # for one pair per layer also: K = 1, five other lambda, two other seeds, one restart
    layers = {(fit.target.architecture, fit.target_layer) for fit in fits}
    assert table.loc["fits", "count"] == len(fits) + 9 * len(layers)


@pytest.mark.parametrize(("scatter", "jobs"), [(1, 1), (3, 4)])
def test_a_scattered_recording_counts_its_parts_and_the_collecting_job(scatter, jobs):
    settings = load_settings(RAW | {"cluster": {"scatter": scatter}})
    table = estimate(settings, [plan_of(settings, "stability")]).set_index("product")
    # all networks are of one architecture and data set: one batch
    assert table.loc["activations", "jobs"] == jobs
    assert table.loc["activations", "gpu_jobs"] == jobs


def test_bytes_of_pictures_are_those_of_the_store_and_of_drawn_files():
    def size(**about):
        birds = {"size": 64, "images": 90, **about}
        settings = load_settings(RAW | {"data_root": ".", "datasets": {"birds": birds}})
        table = estimate(settings, [plan_of(settings, "stability")]).set_index("product")
        return table.loc["images", "bytes"]

    stored = 90 * 3 * 64**2
    assert size(archive="birds.tgz") == stored
    # and their foregrounds, and the drawn files
    drawn = {"classes": 3, "images_per_class": 30, "canvas": 96}
    assert size(generated=drawn) == round(stored + 90 * 64**2 + 90 * 96**2 * 0.82)
