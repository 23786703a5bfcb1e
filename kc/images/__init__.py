"""Images: readers of data sets, and the one image store a data set becomes."""

from kc.images.build import build_image_store, open_images
from kc.images.mixture import build_mixture_store
from kc.images.pixels import normalise

__all__ = ["build_image_store", "build_mixture_store", "normalise", "open_images"]
