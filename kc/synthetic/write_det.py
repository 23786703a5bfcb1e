"""Writer of the scenes of ``write_voc`` in the layout of ILSVRC DET, without masks."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from kc.progress import progress_bar
from kc.settings.dataset import Generated
from kc.synthetic.annotation import AnnotatedObject, annotation_xml
from kc.synthetic.drawn_files import box_of, save_lines, save_picture
from kc.synthetic.scene_plans import draw_scene, planned

ABOUT = "Drawn by kc in the layout of ILSVRC DET; no photograph."
SYNSETS: Mapping[str, str] = MappingProxyType(
    {
        "aeroplane": "n02691156",
        "bicycle": "n02834778",
        "bird": "n01503061",
        "boat": "n04530566",
        "bottle": "n04591713",
        "bus": "n02924116",
        "car": "n02958343",
        "cat": "n02121808",
        "chair": "n03001627",
        "cow": "n02402425",
        "diningtable": "n04379243",
        "dog": "n02084071",
        "horse": "n02374451",
        "motorbike": "n03790512",
        "person": "n00007846",
        "pottedplant": "n03991062",
        "sheep": "n02411705",
        "sofa": "n04256520",
        "train": "n04468005",
        "tvmonitor": "n03211117",
    }
)
"""DET's synset for each kind that is drawn."""


def write_det(settings: Generated, folder: Path) -> None:
    """Draw all scenes into ``folder``: pictures, annotations and the two lists."""
    root = folder / "ILSVRC"
    listed: dict[str, list[str]] = {"train": [], "val": []}
    plans = planned(settings)
    with progress_bar(plans, desc="drawing scenes", unit="image") as bar:
        for number, plan in enumerate(bar):
            scene = draw_scene(settings, number, plan.kinds)
            objects = [
                AnnotatedObject(SYNSETS[thing.kind], box_of(thing.visible), thing.cut)
                for thing in scene.things
            ]
            name = f"ILSVRC2012_val_{number + 1:08d}"
            if plan.subset == "train":
                name = f"ILSVRC2013_train/{objects[0].name}/{objects[0].name}_{number + 1}"
            save_picture(scene.image, root / "Data" / "DET" / plan.subset / f"{name}.JPEG")
            inside, _, file = f"{plan.subset}/{name}".rpartition("/")
            text = annotation_xml(inside, file, settings.canvas, objects, segmented=False)
            save_lines(root / "Annotations" / "DET" / inside / f"{file}.xml", text)
            listed[plan.subset].append(f"{name} {len(listed[plan.subset]) + 1}")
    for subset, lines in listed.items():
        save_lines(root / "ImageSets" / "DET" / f"{subset}.txt", lines)
    save_lines(folder / "README", [ABOUT])
