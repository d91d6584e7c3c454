"""How files become what the model saw, settled before anything is decided.

Where files and samples do not fit, the plausible preparations are tried on some pictures. One that
alone fits sizes and content is taken, and the samples that chose it are left out of the count; else
it is asked, with the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from denoscope.audit.options import AuditOptions
from denoscope.audit.sets.fits import Fit, alike, fits
from denoscope.audit.sets.generated import generate, is_model
from denoscope.audit.sets.inputs import InputSet
from denoscope.audit.sets.looked import Looked, look
from denoscope.audit.sets.misfits import Misfit, Size, misfits, proportional, shown, ways
from denoscope.audit.sets.preparations import stated, without_resize
from denoscope.data.decoding import Held
from denoscope.data.grids import Grid, by_lines, laid_out, of_cells
from denoscope.data.images import Images
from denoscope.data.prepare import AS_STORED, SHAPING, Preparation
from denoscope.models import open_model
from denoscope.progress import Voice
from denoscope.random import derive
from denoscope.report.words import listed, percent

_FACTS, _TRAINING, _SAMPLES, _PART = 200, 1000, 200, 4
"""How many pictures are looked at for facts, of training files and samples to try what fits, and
the share (one in so many) of samples that may choose.
"""
_FEWEST = 5  # samples that can choose
_SHOWN = 40  # grids looked at


class Unsettled(ValueError):
    """It cannot be told how files became what the model saw; ``table`` says what was tried."""

    def __init__(self, line: str, table: Sequence[str]) -> None:
        super().__init__(line)
        self.table = tuple(table)


@dataclass(frozen=True, eq=False)
class Settled:
    """The preparation of each role, ``how``; the ``grid`` that samples are cut by; ``misfits`` in
    words, what was ``tried``, and the names of the samples that ``chose``. ``born`` is the size of
    samples before their preparation, where known; ``doubt`` says that another preparation fits the
    samples and the stated one does not.
    """

    how: Mapping[str, Preparation]
    grid: Grid | None = None
    misfits: tuple[str, ...] = ()
    tried: tuple[tuple[str, Fit], ...] = ()
    chose: frozenset[str] = frozenset()
    born: Size | None = None
    doubt: str = ""

    @property
    def flips(self) -> bool:
        """Whether a preparation says that training mirrored pictures."""
        return any(how.flips for how in self.how.values())

    def json(self) -> dict[str, object]:
        """What the protocol says of it."""
        said = {role: str(one) or "as stored" for role, one in self.how.items()}
        return {"prepare": said, "grid": str(self.grid) if self.grid else None}

    @property
    def table(self) -> list[str]:
        """What was tried, a line per way."""
        return _table(self.tried)


AS_READ = Settled({})
"""Nothing was prepared."""


def settle(options: AuditOptions, say: Voice, seeds: Sequence[int] = ()) -> Settled:
    """The preparation of every set. What was stated is taken; what does not fit and was not stated
    is tried, and asked (:class:`Unsettled`) unless one way alone fits. Of a model the first of the
    ``seeds`` are sampled for that.
    """
    how = stated(options)
    seen = {role: _look(options, role, _FACTS) for role in ("train", "test")}
    train, gen = seen["train"], _samples(options, say, seeds)
    if train is None or gen is None or len(gen.sizes) > 1:
        size = next(iter(gen.sizes)) if gen else None
        return Settled({role: one.at(*size) if size else one for role, one in how.items()})
    grid = _grid(options, gen, train, how)
    goal = _after(how["gen"], grid.size if grid else next(iter(gen.sizes)))
    if options.resize and not all(proportional(size, goal) for size in train.sizes):
        how = stated(without_resize(options)) | {"gen": how["gen"], "twin": how["twin"]}
    how = {role: one.at(*goal) for role, one in how.items()}
    plain = Settled(how, grid, born=grid.size if grid else next(iter(gen.sizes)))
    found = misfits(train, seen["test"], gen, (how["train"], how["gen"]), goal)
    if not found:
        return replace(plain, doubt=_doubt(options, plain, train, gen, goal))
    say(f"{'; '.join(one.said for one in found)}: trying what fits")
    return _tried(plain, found, _look(options, "train", _TRAINING) or train, gen, goal)


def _doubt(options: AuditOptions, plain: Settled, train: Looked, gen: Looked, goal: Size) -> str:
    """That what was stated of the proportions does not fit the samples, and another way does."""
    files, theirs = plain.how["train"], plain.how["gen"]
    if options.resize or not files.has(*SHAPING) or all(proportional(x, goal) for x in train.sizes):
        return ""
    unshaped = Preparation(tuple(word for word in files.words if word not in files.shapes))
    found = misfits(train, None, gen, (unshaped, theirs), goal)
    made = [files, *(way for way, _ in ways(found, unshaped, theirs))]
    training = (_look(options, "train", _TRAINING) or train).small(made)
    rows, sizes = gen.small([theirs], plain.grid)[0]
    kept = [i for i, (_, size) in enumerate(training) if size | sizes == {goal}]
    if len(rows) < _FEWEST or kept[:1] != [0]:
        return ""
    images = [training[i][0] for i in kept]
    first = sorted(set(alike([rows] * len(kept), images)))
    each = fits([rows] * len(first), [images[i] for i in first])
    right = [made[kept[i]] for i, one in zip(first, each, strict=True) if one.fits]
    if each[0].fits or len(right) != 1:
        return ""
    return f"`{files}` was stated, but by {len(rows)} samples `{right[0]}` alone fits"


def _samples(options: AuditOptions, say: Voice, seeds: Sequence[int]) -> Looked | None:
    """Some samples; of a model its first ones, drawn when they are asked for."""
    if not is_model(options.gen):
        return _look(options, "gen", _SAMPLES)
    try:
        shape = open_model(options.gen).shape
    except ValueError:
        return None
    if len(shape) != 3:
        return None
    first = tuple(seeds[: min(_SAMPLES, len(seeds) // _PART)])
    like = InputSet("train", "", Images(torch.zeros(1, *shape), "like"), None, ("",), "")

    def raw(hows: Sequence[Preparation]) -> list[list[Tensor]]:
        drawing = replace(options, seeds=first)
        made = generate("gen", options.gen, drawing, say, like=like).images if first else None
        return [[how.shaped(x) for how in hows] for x in made[:]] if made else []

    told = Held((shape[2], shape[1]), grey=shape[0] == 1)
    names = tuple(f"seed {seed}" for seed in first)
    return Looked(len(seeds), names, (told,), raw)


def _look(options: AuditOptions, role: str, count: int) -> Looked | None:
    """Some pictures of a set; None where there are none, or what is wrong is said by reading it."""
    path = getattr(options, role)
    if not path:
        return None
    place, part = ("train", "test", "gen").index(role), _PART if role == "gen" else 1
    ends = options.range or None
    try:
        return look(
            role,
            path,
            count,
            part=part,
            seed=derive(options.seed, place),
            skip_bad=options.skip_bad,
            value_range=ends,
        )
    except ValueError:
        return None


def _after(how: Preparation, size: Size) -> Size:
    """The size of a picture of this size after a preparation."""
    made = how.at(*size).shaped(torch.zeros(1, size[1], size[0], dtype=torch.uint8))
    return made.shape[-1], made.shape[-2]


def _grid(
    options: AuditOptions, gen: Looked, train: Looked, how: Mapping[str, Preparation]
) -> Grid | None:
    """The grid that was asked for; one that is there and was not asked for is a ValueError."""
    size = next(iter(gen.sizes))
    cells = {_after(_unsized(how["train"], options), one) for one in train.sizes}
    asked = how["gen"].has(*SHAPING) and not options.resize
    if not options.grid and (asked or size in cells or is_model(options.gen)):
        return None
    pictures = [one[0] for one in gen.raw([AS_STORED])[:_SHOWN]]
    shapes = torch.stack([x.expand(max(map(len, pictures)), -1, -1) for x in pictures])
    if options.grid:
        return laid_out(options.grid, shapes)
    known = of_cells(shapes, *next(iter(cells))) if len(cells) == 1 else None
    found = known or by_lines(shapes)
    if found is None:
        return None
    gap = f" with {found.border} pixels between" if found.border else ""
    raise ValueError(
        f"--gen has images of {shown({size})} pixels, which are grids of {found} images of "
        f"{shown({found.size})}{gap}: --grid {found} takes these"
    )


def _unsized(how: Preparation, options: AuditOptions) -> Preparation:
    """Without the size of ``--resize``, and without words that leave a size out."""
    resized = f"resize:{options.resize}"
    words = [word for word in how.words if not (options.resize and word == resized)]
    one = Preparation(tuple(words))
    return AS_STORED if one.open else one


def _tried(
    plain: Settled, found: Sequence[Misfit], train: Looked, gen: Looked, goal: Size
) -> Settled:
    """The one way that fits, or :class:`Unsettled`."""
    said = tuple(one.said for one in found)
    made = ways(found, plain.how["train"], plain.how["gen"])
    training = train.small([files for files, _ in made])
    samples = gen.small([theirs for _, theirs in made], plain.grid)
    sized = [i for i in range(len(made)) if training[i][1] | samples[i][1] == {goal}]
    rows = [samples[i][0] for i in sized], [training[i][0] for i in sized]
    enough = bool(sized) and len(rows[0][0]) >= _FEWEST and len(rows[1][0]) > 1
    first = alike(*rows) if enough else list(range(len(sized)))
    kept = sorted(set(first))
    names = {
        i: [_written(*made[sized[j]]) for j in range(len(sized)) if first[j] == i] for i in kept
    }
    if not enough:
        untried = [f"  {one}" for i in kept for one in names[i]]
        raise Unsettled(_asked(said, [one[0] for one in names.values()], "too few to try"), untried)
    each = fits([rows[0][i] for i in kept], [rows[1][i] for i in kept])
    order = sorted(range(len(kept)), key=lambda i: (not each[i].fits, each[i].distance))
    tried = tuple((", or ".join(names[kept[i]]), each[i]) for i in order)
    fitting = [i for i in order if each[i].fits]
    if len(fitting) != 1:
        many = f"{len(fitting)} of {len(kept)} usual ways fit" if fitting else "no usual way fits"
        text = f"{many} {len(rows[0][0])} samples"
        raise Unsettled(_asked(said, [names[kept[i]][0] for i in order], text), _table(tried))
    files, theirs = made[sized[kept[fitting[0]]]]
    how = {**plain.how, "train": files, "gen": theirs}
    how["test"] = files if plain.how["test"] == plain.how["train"] else plain.how["test"]
    how["twin"] = theirs if plain.how["twin"] == plain.how["gen"] else plain.how["twin"]
    return replace(plain, how=how, misfits=said, tried=tried, chose=frozenset(gen.names))


def _written(files: Preparation, samples: Preparation) -> str:
    """The flags that say it."""
    flags = [f"--prepare-train {files}"] if files.words else []
    flags += [f"--prepare-gen {samples}"] if samples.words else []
    return " ".join(flags) or "as they are stored"


def _asked(said: Sequence[str], flags: Sequence[str], why: str) -> str:
    such = f", such as {flags[0]}" if flags else " (--prepare-train WORDS)"
    return f"{listed(list(said))}; {why}: say how training files became what the model saw{such}"


def _table(tried: Sequence[tuple[str, Fit]]) -> list[str]:
    """What was tried, a line per way."""
    width = max((len(name) for name, _ in tried), default=0)
    lines = [f"  {'':{width}}  distance  nearer  best for  fits"]
    for name, one in tried:
        numbers = f"{one.distance:8.2f}  {percent(one.nearer):>6}  {percent(one.best):>8}"
        lines.append(f"  {name:{width}}  {numbers}  {'yes' if one.fits else 'no':>4}")
    return lines
