"""Images from wherever they are: an embedded set, a folder, an archive, arrays, shards."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from denoscope.data.array_images import read_arrays
from denoscope.data.arrays import holds_arrays, keyed
from denoscope.data.embedded import EMBEDDED, digits, faces, fashion_mnist, has_idx, read_idx
from denoscope.data.emoji import read_emoji
from denoscope.data.folders import read_folder, read_shards, read_zip
from denoscope.data.images import Images
from denoscope.data.pictures import Expect, Progress, ReadOptions
from denoscope.data.prepare import Preparation, prepared
from denoscope.data.refusals import fetch_first, way_out
from denoscope.data.selection import Part, everything
from denoscope.data.shards import ENDINGS
from denoscope.files import harmless


def read_images(
    source: str | Path,
    *,
    skip_bad: bool = False,
    prepare: str | Preparation = "",
    value_range: tuple[float, float] | None = None,
    data_root: str | Path | None = None,
    part: Part = everything,
    progress: Progress = lambda done, total: None,
    expect: Expect = lambda n, shape: None,
    few: int = 0,
) -> Images:
    """The images of ``source``: an embedded set's name, a folder, an archive, a file of arrays or
    of rows.

    * ``digits``, ``fashion_mnist``, ``emoji``, ``faces``: see :mod:`denoscope.data.embedded`;
      ``data_root`` is searched first. A folder of the same name is written ``./digits``.
    * folder: all images below it in natural order (2 before 10); labels from ``dataset.json``, else
      from class sub-folders if every image is in one. A folder with MNIST-like IDX files is read as
      such, one without images as the shards in it.
    * ``.npz``, ``.npy``, ``.pt``: an array (n, h, w, c), (n, h, w) or (n, c, h, w), of 8 bits;
      other number types need ``value_range`` = (low, high), which 8-bit images ignore. It is
      ``arr_0``, ``images`` or the only one that there is; ``FILE.npz::KEY`` names another. Integer
      ``labels``, or ``arr_1`` as ADM writes, are taken along. Pickled objects are never loaded.
    * ``.zip`` as EDM writes: images and an optional ``dataset.json``, read in memory.
    * ``.tar`` of WebDataset, ``.parquet`` and ``.arrow`` of `datasets`, or a folder of these.

    ``skip_bad`` goes on without unreadable images and those of another size than most, and lists
    them in ``skipped``; ``prepare`` says how files become images, in the words of
    :class:`~denoscope.data.prepare.Preparation`, such as ``resize:64``; ``part(n, test_from)``
    which rows of n are read, before any is decoded; ``progress(done, total)`` is told how many
    files are decoded, ``expect(n, shape)`` after the first of them what there will be; of a set
    too large to be kept in memory only the first ``few`` are read, if a number is given. Whatever
    else is wrong is a one-line ValueError, in which characters of names that do not print are
    escaped, as they are in ``files`` and ``skipped``.
    """
    prepare = prepare if isinstance(prepare, Preparation) else Preparation.of(prepare)
    if prepare.open:
        raise ValueError(f"prepare: {prepare} needs a size, such as resize:64 or diffusers:64")
    how = ReadOptions(skip_bad, prepare, value_range, part, progress, expect, few)
    if str(source) in EMBEDDED and not isinstance(source, Path):
        root = None if data_root is None else Path(data_root).expanduser()
        return _embedded(str(source), root, how)
    path, key = keyed(source)
    if not str(source) or not os.path.exists(path):
        raise ValueError(_unknown(str(source)))
    try:
        return _read(path, key, how)
    except ValueError as error:
        raise ValueError(harmless(error, 2000)) from error


def _read(path: Path, key: str, how: ReadOptions) -> Images:
    suffix = path.suffix.lower()
    if os.path.isdir(path):
        if has_idx(path):
            return _part(prepared(read_idx(path, harmless(path.name)), how.prepare), how)
        return read_folder(path, how)
    if not os.path.isfile(path):
        raise ValueError(f"{path} is no regular file")
    if suffix == ".zip":
        return read_zip(path, how)
    if suffix in ENDINGS:
        return read_shards(path, [""], how)
    if holds_arrays(path):
        return prepared(read_arrays(path, key, how), how.prepare)
    raise ValueError(f"{path} is {way_out(path)}")


def _part(images: Images, how: ReadOptions) -> Images:
    rows = how.part(len(images), images.test_from)
    return images if rows == range(len(images)) else images.at(rows)


def _embedded(name: str, root: Path | None, how: ReadOptions) -> Images:
    if name == "emoji":
        images = read_emoji(root, how.prepare.side or 32)
    else:
        read = {"fashion_mnist": fashion_mnist, "faces": faces}
        images = digits() if name == "digits" else read[name](root)
    return _part(prepared(images, how.prepare), how)


def _unknown(source: str) -> str:
    near = difflib.get_close_matches(source.lower(), EMBEDDED, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    sets = f"nor one of the sets {', '.join(EMBEDDED)}{hint}"
    return f"{source!r} is neither an existing folder or file {sets}{fetch_first(source)}"
