"""Writer of drawn scenes in the layout of Pascal VOC 2007, with masks of every picture.

Each kind is drawn ``images_per_class`` times, the share ``test_share`` of them in ``val``; each
picture has one to four objects. The seed of picture k is derived from (seed, k). Hidden or tiny
objects are marked difficult, except in the first training picture of each kind: readers skip
difficult objects, and every kind needs one for training.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from kc.datasets.samples import Box
from kc.progress import progress_bar
from kc.settings.dataset import Generated
from kc.synthetic.annotation import AnnotatedObject, annotation_xml
from kc.synthetic.drawn_files import box_of, save_lines, save_picture
from kc.synthetic.kinds import KINDS
from kc.synthetic.scene_plans import ScenePlan, draw_scene, planned
from kc.synthetic.scenes import Thing
from kc.synthetic.voc_masks import class_map, object_map, save_mask

ABOUT = "Drawn by kc in the layout of Pascal VOC 2007; no photograph."
YEAR = "VOC2007"
HIDDEN = 0.5
"""An object with a smaller visible share is difficult."""
TINY = 0.2
"""An object whose longer side is a smaller share of the picture is difficult."""


def write_voc(settings: Generated, folder: Path) -> None:
    """Draw all scenes into ``folder``: pictures, annotations, masks and lists."""
    root = folder / "VOCdevkit" / YEAR
    plans = planned(settings)
    firsts = _first_pictures(plans)
    with progress_bar(plans, desc="drawing scenes", unit="image") as bar:
        for number, plan in enumerate(bar):
            spared = {kind for kind in plan.kinds if firsts.get(kind) == number}
            _write_one(settings, number, plan, root, spared)
    for task in ("Main", "Segmentation"):
        for name, subsets in (
            ("train", ["train"]),
            ("val", ["val"]),
            ("trainval", ["train", "val"]),
        ):
            ids = [_id(number) for number, plan in enumerate(plans) if plan.subset in subsets]
            save_lines(root / "ImageSets" / task / f"{name}.txt", ids)
    save_lines(folder / "README", [ABOUT])


def _first_pictures(plans: Sequence[ScenePlan]) -> dict[str, int]:
    """Find the number of the first training picture of each kind."""
    firsts: dict[str, int] = {}
    for number, plan in enumerate(plans):
        for kind in plan.kinds if plan.subset == "train" else ():
            firsts.setdefault(kind, number)
    return firsts


def _write_one(
    settings: Generated, number: int, plan: ScenePlan, root: Path, spared: Collection[str]
) -> None:
    name = _id(number)
    scene = draw_scene(settings, number, plan.kinds)
    save_picture(scene.image, root / "JPEGImages" / f"{name}.jpg")
    objects = object_map([thing.visible for thing in scene.things], settings.canvas)
    values = [list(KINDS).index(thing.kind) + 1 for thing in scene.things]
    save_mask(objects, root / "SegmentationObject" / f"{name}.png")
    save_mask(class_map(objects, values), root / "SegmentationClass" / f"{name}.png")
    listed = [_annotated(each, settings.canvas, each.kind in spared) for each in scene.things]
    text = annotation_xml(YEAR, f"{name}.jpg", settings.canvas, listed, segmented=True)
    save_lines(root / "Annotations" / f"{name}.xml", text)


def _annotated(thing: Thing, canvas: int, spared: bool) -> AnnotatedObject:
    """Annotate the visible part of an object; corners count from 1 and include the last pixel.

    A ``spared`` object is never marked difficult.
    """
    box = box_of(thing.visible)
    shown = int(thing.visible.sum()) / thing.whole
    longer = max(box.right - box.left, box.bottom - box.top)
    return AnnotatedObject(
        name=thing.kind,
        corners=Box(box.left + 1, box.top + 1, box.right, box.bottom),
        truncated=thing.cut or shown < 0.95,
        difficult=not spared and (shown < HIDDEN or longer < TINY * canvas),
    )


def _id(number: int) -> str:
    return f"{number + 1:06d}"
