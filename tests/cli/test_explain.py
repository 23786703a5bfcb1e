"""``kc explain`` on the tables of the workflow: each broken link is found and named."""

import json
import shlex
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from kc.activations import record_networks
from kc.cli.chain import chain
from kc.cli.main import app
from kc.cli.run_options import run_options
from kc.consistency.products import fit_pairs
from kc.errors import StoreError
from kc.files.sources import FOLDER, Source
from kc.images import build_image_store, build_mixture_store, open_images
from kc.plans.commands import Run, remake, write_run
from kc.plans.products import merged, networks_of, nodes_of
from kc.plans.studies import plan_of
from kc.settings.dataset import Generated
from kc.settings.load import load_settings
from kc.settings.recipes import Distillation, Retraining
from kc.steps.ladders import climb_fits
from kc.steps.networks import Training, train_networks
from kc.store.files import CHECKSUM, read_signed, write_signed
from kc.studies import stability
from kc.synthetic.generated import write_generated

DRAWN = {"classes": 2, "images_per_class": 12, "canvas": 32}
SETTINGS = {
    "results": "out",
    "datasets": {
        "birds": {"archive": "birds.tar", "size": 32},
        "dogs": {"layout": "dogs", "generated": DRAWN, "size": 32},
        "mix": {"layout": "mixture", "parts": ["birds", "dogs"], "size": 32},
    },
    "data_root": "data",
    "networks": {"resnet18": {"width": 0.125}},
    "training": {"epochs": 1, "batch_size": 8},
    "activations": {"shard_rows": 16},
    "consistency": {"order": 1, "optimiser": {"epochs": 1, "batch_size": 8}},
    "stability": {
        **{"dataset": "mix", "layers": {"resnet18": ["last_conv"]}, "seeds": [0, 1]},
        **{"half_splits": 0, "half_images": False, "controls": "none"},
    },
}
FIT = "mix-resnet18-seed0--mix-resnet18-seed1--last_conv"
TABLE = Path("out/tables/table1.csv")


def make_images(settings, images):
    write_generated("cub", Generated(**DRAWN), Path("drawn"))
    Path("data").mkdir()
    with tarfile.open("data/birds.tar", "w") as tar:
        tar.add("drawn", arcname=".")
    for name in ("birds", "dogs"):
        archive, out = settings.archive_of(name), images / f"{name}.zarr"
        source = Source.of(archive, records=images.parent / FOLDER) if archive else None
        mend = remake(images / f"{name}.json")
        build_image_store(settings.datasets[name], archive, out, name, mend, source)
    parts = {name: open_images(images / f"{name}.json") for name in ("birds", "dogs")}
    build_mixture_store(parts, 0, images / "mix.zarr", "mix")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Make all products behind Table 1, as the workflow's scripts do."""
    folder, cpu, out = tmp_path_factory.mktemp("whole"), torch.device("cpu"), Path("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings = load_settings(SETTINGS)
        make_images(settings, out / "images")
        images, plan = open_images(out / "images" / "mix.json"), plan_of(settings, "stability")
        fits = merged(replace(fit, keep=True) for fit in plan.fits)
        recipe = Training(
            settings.network("resnet18"), settings.training, Retraining(), Distillation()
        )
        networks = networks_of(fits)
        train_networks(networks, images, recipe, out / "networks", cpu)
        folders = {network.name: out / "networks" / network.name for network in networks}
        nodes = nodes_of(networks[0], fits)
        record_networks(folders, nodes, images, settings.activations, out / "activations", cpu)
        stores = {name: out / "activations" / f"{name}.json" for name in folders}
        fit_pairs(fits, stores, settings.consistency, 0, out, cpu)
        climb_fits(plan.climbed, plan.repeats, settings.consistency, out, "cpu")
        stability.write(settings.of_study("stability"))
        Path("config.yaml").write_text(yaml.safe_dump(SETTINGS))
    return folder


@pytest.fixture
def here(whole, tmp_path, monkeypatch):
    """Copy them to a working directory where they may be damaged."""
    shutil.copytree(whole, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def explain(*arguments):
    done = CliRunner().invoke(app, ["explain", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def edit(path, change):
    path = Path(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def shard(folder):
    return next(path for path in folder.rglob("*") if path.is_file())


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_an_undamaged_chain_reaches_the_archive_and_the_generator(here):
    code, text = explain(TABLE)
    assert code == 0, text
    assert "every link holds" in text
    lines = text.splitlines()
    order = [
        *("tables table1", f"fits {FIT}", "activations mix-resnet18-seed0"),
        *("networks mix-resnet18-seed0", "images mix ", "images birds "),
        "images archive data/birds.tar",
    ]
    places = [next(n for n, line in enumerate(lines) if name in line) for name in order]
    assert places == sorted(places)
    assert any("generated pictures of dogs" in line and "canvas 32" in line for line in lines)
    assert "torch 2." in text
    assert "on cpu; wall time: fits" in text


@pytest.mark.parametrize("kind", ["ladder", "repeats"])
def test_ladders_and_repeats_of_a_fit_are_in_the_chain(here, kind):
    flip(here / "out" / kind / FIT / f"{kind}.csv")
    code, text = explain(TABLE)
    assert code == 1
    assert f"{kind}.csv missing or not as written" in text
    assert f"--force out/{kind}/{FIT}/card.json" in text


def test_the_table_records_what_it_came_from(here):
    origin = json.loads(TABLE.with_suffix(".json").read_text())
    assert set(origin["stores"]["images"]) == {"mix"}
    assert set(origin["stores"]["activations"]) == {"mix-resnet18-seed0", "mix-resnet18-seed1"}
    digest = json.loads(Path("out/activations/mix-resnet18-seed0.json").read_text())["digest"]
    assert origin["stores"]["activations"]["mix-resnet18-seed0"] == digest
    assert {"settings", "code", "versions", "devices", "seconds", "files"} <= set(origin)


def test_any_file_of_the_table_may_be_named(here):
    assert explain(TABLE.with_suffix(".md"))[0] == 0


def break_table(here):
    TABLE.write_text(TABLE.read_text() + "\n")


def remove_tex(here):
    TABLE.with_suffix(".tex").unlink()


def old_code(here):
    edit(TABLE.with_suffix(".json"), lambda origin: origin.update(code="0" * 16))


def break_fit(here):
    flip(here / "out" / "fits" / FIT / "g.safetensors")


def remove_fit(here):
    (here / "out" / "fits" / FIT / "card.json").unlink()


def made_anew(card):
    content = {name: value for name, value in read_signed(card).items() if name != CHECKSUM}
    write_signed(card, content | {"digest": "f" * 32})


def other_fit(here):
    """Make another fit but not the table."""
    card = here / "out" / "fits" / FIT / "card.json"
    made_anew(card)


def break_activations(here):
    flip(shard(here / "out/activations/mix-resnet18-seed0.zarr/layer3.1.add/c/1"))


def remove_activations(here):
    (here / "out/activations/mix-resnet18-seed1.json").unlink()


def edit_manifest(here):
    edit(here / "out/activations/mix-resnet18-seed1.json", lambda found: found.update(rows=1))


def break_network(here):
    flip(here / "out/networks/mix-resnet18-seed1/weights.safetensors")


def remove_network(here):
    shutil.rmtree(here / "out/networks/mix-resnet18-seed1")


def other_network(here):
    card = here / "out/networks/mix-resnet18-seed1/card.json"
    made_anew(card)


def break_images(here):
    flip(shard(here / "out/images/mix.zarr/image/c/0"))


def other_images(here):
    """Make images of another size and nothing else."""
    settings = load_settings(SETTINGS)
    wide = settings.datasets["dogs"].model_copy(update={"size": 16})
    shutil.rmtree("out/images/dogs.state")
    build_image_store(wide, None, here / "out/images/dogs.zarr", "other")


def break_archive(here):
    flip(here / "data" / "birds.tar")


def other_drawing(here):
    def change(origin):
        origin["settings"]["datasets"]["dogs"]["generated"]["seed"] = 7

    edit(TABLE.with_suffix(".json"), change)


@pytest.mark.parametrize(
    ("damage", "line", "mend"),
    [
        (break_table, "tables table1  changed  table1.csv is not the file", str(TABLE)),
        (remove_tex, "tables table1  missing  table1.tex is not there", str(TABLE)),
        (old_code, "tables table1  stale  made by code 0000", str(TABLE)),
        (break_fit, f"fits {FIT}  changed  g.safetensors", f"out/fits/{FIT}/card.json"),
        (remove_fit, f"fits {FIT}  missing", f"out/fits/{FIT}/card.json"),
        (other_fit, "tables table1  stale  made from fits", str(TABLE)),
        (
            break_activations,
            "activations mix-resnet18-seed0  changed",
            "out/activations/mix-resnet18-seed0.json",
        ),
        (
            remove_activations,
            "activations mix-resnet18-seed1  missing",
            "out/activations/mix-resnet18-seed1.json",
        ),
        (
            edit_manifest,
            "activations mix-resnet18-seed1  changed",
            "out/activations/mix-resnet18-seed1.json",
        ),
        (
            break_network,
            "networks mix-resnet18-seed1  changed  weights.safetensors",
            "out/networks/mix-resnet18-seed1/card.json",
        ),
        (
            remove_network,
            "networks mix-resnet18-seed1  missing",
            "out/networks/mix-resnet18-seed1/card.json",
        ),
        (
            other_network,
            "activations mix-resnet18-seed1  stale  made from networks",
            "out/activations/mix-resnet18-seed1.json",
        ),
        (break_images, "images mix  changed", "out/images/mix.json"),
        (other_images, "images mix  stale  made from images dogs", "out/images/mix.json"),
        (break_archive, "archive data/birds.tar  changed", "out/images/birds.json"),
        (other_drawing, "generated pictures of dogs  stale", "out/images/dogs.json"),
    ],
)
def test_a_link_that_does_not_hold_is_named_with_its_fix(here, damage, line, mend):
    damage(here)
    code, text = explain(TABLE)
    assert code == 1
    assert line in text
    assert "every link holds" not in text
    told = text[text.index("To fix, in this order:") :].splitlines()[1:]
    commands = [each.strip() for each in told if each.strip().startswith("snakemake")]
    assert any(c.startswith(f"snakemake --cores 1 --force {mend}") for c in commands)
    # the table is always made again at the end
    assert str(TABLE) in commands[-1]


def test_a_missing_archive_is_named_without_a_command(here):
    Path("data/birds.tar").unlink()
    code, text = explain(TABLE)
    assert code == 1
    assert "by hand: archive data/birds.tar: not there now" in text


def test_components_are_those_of_the_fits(here):
    components = here / "out" / "components" / f"{FIT}.json"
    digest, origin = json.loads(components.read_text())["digest"], TABLE.with_suffix(".json")
    edit(origin, lambda content: content["stores"].update(components={FIT: digest}))
    code, text = explain(TABLE)
    assert code == 0, text
    assert f"components {FIT}  ok" in text
    edit(origin, lambda content: content["fits"][FIT].update(key="0"))
    assert f"components {FIT}  stale  made from another fit" in explain(TABLE)[1]
    components.unlink()
    assert f"components {FIT}  missing" in explain(TABLE)[1]


def test_quick_compares_digests_and_reads_no_store(here):
    break_activations(here)
    assert explain(TABLE, "--quick")[0] == 0
    other_network(here)
    assert explain(TABLE, "--quick")[0] == 1


def test_the_commands_have_the_options_of_the_run(here):
    break_table(here)
    assert f"--force {TABLE} --config data_root=data" in explain(TABLE)[1]
    presets = here / "workflow" / "presets"
    presets.mkdir(parents=True)
    Path("config.yaml").write_text("results: results\n")
    assert "each with the --configfile and --config" in explain(TABLE)[1]
    (presets / "mine.yaml").write_text(yaml.safe_dump(SETTINGS))
    text = explain(TABLE)[1]
    assert f"--force {TABLE} --configfile workflow/presets/mine.yaml --config data_root" in text
    assert "each with the --configfile" not in text


def test_without_settings_here_no_options_are_guessed(here):
    origin = json.loads(TABLE.with_suffix(".json").read_text())
    assert run_options(origin, TABLE, Path("nowhere") / "config.yaml") is None


def test_the_commands_have_the_options_of_the_last_run_if_they_give_these_settings(here):
    break_table(here)
    (here / "kc's code").mkdir()
    (here / "kc's code/config.yaml").write_text("results: out\n")
    (here / "my preset.yaml").write_text(yaml.safe_dump(SETTINGS))
    Path("config.yaml").unlink()
    run = Run("out", str(here), str(here / "kc's code/Snakefile"), elsewhere=False)
    write_run(run._replace(configfiles=[str(here / "my preset.yaml")]))
    (line,) = [line for line in explain(TABLE)[1].splitlines() if "snakemake" in line]
    words = ["snakemake", "--cores", "1", "--force", str(TABLE), "--snakefile"]
    words += [str(here / "kc's code/Snakefile"), "--configfile", "my preset.yaml"]
    assert shlex.split(line) == words
    write_run(run)
    assert "each with the --configfile" in explain(TABLE)[1]


def test_a_file_that_is_not_a_table_of_the_workflow_is_refused(here):
    code, text = explain("out/tables/table9.csv")
    assert code == 2
    assert "no such file; it records what a table was made from" in text
    edit(TABLE.with_suffix(".json"), lambda origin: origin.pop("study"))
    with pytest.raises(StoreError, match="has no study"):
        chain(TABLE)
