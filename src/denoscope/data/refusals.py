"""What to do with files that are not read: a line for each kind, which ends with the way out."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from denoscope.data.decoding import SUFFIXES

IMAGES = (
    "a folder of PNG files, or numpy.savez(FILE, images=ROWS) with ROWS uint8 "
    "(n, height, width, channels)"
)
READ = "a folder, .npz, .npy, .pt, .zip, .tar, .parquet or .arrow"
_PACKED = "a packed archive: unpack it and give the folder"
_KINDS = {
    "a pickle, which is never opened since it may run code: if it is a network, sample it with "
    f"the code that trained it; then give the images as {IMAGES}": ".pkl .pickle .bin .joblib",
    "a single image: give the folder that holds all of them": " ".join(SUFFIXES),
    _PACKED: ".gz .tgz .bz2 .xz .zst .7z .rar",
    "a video: write its frames as images into a folder and give it": ".mp4 .avi .mov .mkv .webm",
}
_LMDB = "data.mdb"
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def way_out(path: Path) -> str:
    """What a file is instead of a set of images, and what to do."""
    suffix = path.suffix.lower()
    known = next((said for said, endings in _KINDS.items() if suffix in endings.split()), None)
    return known or f"no kind of file that is read ({READ}): give its images as {IMAGES}"


def without_pictures(names: Collection[str]) -> str:
    """What to do with files among which no picture is found; empty where nothing is known."""
    if _LMDB in names:
        return f"; it is an LMDB database: write its images out, as {IMAGES}"
    if any(name.endswith(".npy") for name in names):
        return "; it holds arrays (.npy): if they are latents, decode them and give the images"
    return ""


def fetch_first(source: str) -> str:
    """What to do with a name of nothing that is here, which may be one of a hub."""
    found = on_hub(source)
    return found or f"; nothing is downloaded: give the images themselves, {READ}"


def on_hub(source: str) -> str:
    """How to fetch what may be the name of a repository; empty for any other name."""
    if not _HUB.fullmatch(source):
        return ""
    return (
        f"; nothing is downloaded: if {source} lies on the Hugging Face hub, fetch it with "
        f"`hf download {source} --local-dir DIR` (a data set with --repo-type dataset) and give DIR"
    )
