"""Descriptors: what they keep, what they drop, and agreement with scikit-learn."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from sklearn.decomposition import PCA as Reference
from torch import Tensor

from denoscope.data import Images, read_images
from denoscope.data.images import resize
from denoscope.data.perturb import PERTURBATIONS
from denoscope.describe import (
    PCA,
    PROTOCOLS,
    Cache,
    Custom,
    Pixels,
    RandomProjection,
    by_name,
    key,
    protocol,
    published,
    same_identity,
)
from denoscope.describe import components as fitting
from denoscope.nearest import neighbors
from denoscope.references import references


def images(n: int = 50, shape: tuple[int, ...] = (3, 4, 5), seed: int = 0) -> Tensor:
    return torch.rand((n, *shape), generator=torch.Generator().manual_seed(seed)) * 2 - 1


def images_hash(x: Tensor) -> str:
    return Images(x, "x").sha256[:12]


DESCRIPTORS = [
    Pixels(),
    RandomProjection((3, 4, 5), 7, seed=1),
    PCA.fit(images(), 6),
    PCA.fit(images(), 6, whiten=False),
]


@pytest.mark.parametrize("describe", DESCRIPTORS, ids=lambda d: d.name)
def test_contract(describe: Pixels | RandomProjection | PCA) -> None:
    x = images(9, seed=2)
    features = describe(x)
    assert features.shape[0] == 9
    assert features.ndim == 2
    assert features.dtype == torch.float32
    assert torch.equal(
        features[3:5], describe(x[3:5])
    )  # a row depends on its image alone, to the last bit
    assert describe.name
    assert describe.protocol
    assert describe.score in ("ratio", "cosine")
    assert not describe.costly
    assert {"name", "version", "preprocessing"} <= json.loads(
        json.dumps(dict(describe.identity))
    ).keys()
    with pytest.raises(ValueError, match=r"\(9, 60\)"):
        describe(x.flatten(1))


def test_pixels_drop_the_mean_and_nothing_else() -> None:
    x = images()
    features = Pixels()(x)
    assert features.mean(1).abs().max() < 1e-6
    assert torch.allclose(features, Pixels()(x * 0.5 + 0.3) * 2, atol=1e-6)
    flat = (
        torch.full((4, 3, 32, 32), 1.0) * torch.tensor([0.1, -0.7, 1 / 3, 0.0])[:, None, None, None]
    )
    assert (Pixels()(flat) == 0).all()


def test_projection_keeps_lengths_on_average() -> None:
    x = images(30, (1, 8, 8))
    squared = torch.stack(
        [RandomProjection((1, 8, 8), 16, seed=s)(x).square().sum(1) for s in range(400)]
    )
    ratio = (squared / x.square().sum((1, 2, 3))).mean(0)
    assert (ratio - 1).abs().max() < 5 * np.sqrt(
        2 / 16 / 400
    )  # a chi-square of 16 degrees over 16, 400 matrices
    matrix = RandomProjection((3, 32, 32), 64, seed=0).matrix
    assert abs(float(matrix.var()) * 64 - 1) < 0.02
    assert torch.equal(matrix, RandomProjection((3, 32, 32), 64, seed=0).matrix)
    assert not torch.equal(matrix, RandomProjection((3, 32, 32), 64, seed=1).matrix)
    with pytest.raises(ValueError, match="at least 1"):
        RandomProjection((1, 8, 8), 0)
    with pytest.raises(ValueError, match=r"\(n, 1, 8, 8\)"):
        RandomProjection((1, 8, 8), 3)(images())


@pytest.mark.parametrize("whiten", [True, False])
@pytest.mark.parametrize("n", [40, 500])
def test_pca_against_scikit_learn(whiten: bool, n: int) -> None:
    digits = read_images("digits").data
    fit = PCA.fit(digits[:n], 12, whiten)
    expected = (
        Reference(12, whiten=whiten, svd_solver="full")
        .fit(digits[:n].flatten(1).double().numpy())
        .transform(digits[500:600].flatten(1).double().numpy())
    )
    ours = fit(digits[500:600]).double().numpy()
    sign = np.sign((ours * expected).sum(0))
    assert np.abs(ours - expected * sign).max() < 1e-4
    assert images_hash(digits[:n]) in fit.protocol
    axes = fit.axes
    assert torch.allclose(axes.T @ axes, torch.eye(12), atol=1e-6)
    assert (axes.gather(0, axes.abs().argmax(0, keepdim=True)) > 0).all()


def test_pca_whitens_its_own_images() -> None:
    x = images(400)
    features = PCA.fit(x, 20)(x)
    assert torch.allclose(features.T.cov(), torch.eye(20), atol=1e-4)
    assert features.mean(0).abs().max() < 1e-5


def test_pca_without_variance() -> None:
    x = images(30, (1, 2, 2))
    x[:, :, 1] = 0.25  # two of four pixels never vary
    fit = PCA.fit(x, 4)
    assert (fit.scale[2:] == 0).all()
    assert (fit(images(5, (1, 2, 2)))[:, 2:] == 0).all()
    assert (PCA.fit(torch.ones(5, 1, 2, 2), 3)(torch.zeros(2, 1, 2, 2)) == 0).all()


def test_pca_impossible() -> None:
    for n, k in ((1, 1), (5, 6), (5, 0)):
        with pytest.raises(ValueError, match="principal axes"):
            PCA.fit(images(n), k)
    with pytest.raises(ValueError, match=r"takes images of shape \(n, 3, 4, 5\)"):
        PCA.fit(images(), 2)(images(2, (1, 8, 8)))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 17, 23), (1, 100, 80)])
def test_a_row_is_the_same_to_the_last_bit_in_every_batch(shape: tuple[int, ...]) -> None:
    x = images(300, shape)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(5))
    for describe in (Pixels(), RandomProjection(shape, 7), PCA.fit(x, 9)):
        whole = describe(x)
        assert torch.equal(describe(x[order]), whole[order])
        for start, stop in ((0, 1), (299, 300), (100, 103), (17, 290)):
            assert torch.equal(describe(x[start:stop]), whole[start:stop])


def test_large_images_are_reduced_first() -> None:
    x = images(40, (1, 96, 70))
    assert torch.equal(Pixels()(x), Pixels()(resize(x, (64, 64))))
    assert Pixels()(images(4, (3, 64, 40))).shape == (
        4,
        3 * 64 * 40,
    )  # 64 pixels are not more than 64
    projection = RandomProjection((1, 96, 70), 5)
    assert torch.allclose(
        projection(x), resize(x, (64, 64)).flatten(1) @ projection.matrix, atol=1e-4
    )
    assert "from 96x70 to 64x64" in projection.protocol
    fit, small = PCA.fit(x, 5), PCA.fit(resize(x, (32, 32)), 5)
    assert torch.equal(fit(x), small(resize(x, (32, 32))))
    assert "from 96x70 to 32x32" in fit.protocol
    assert key(fit.identity) != key(small.identity)


def test_identities_tell_features_apart_and_together() -> None:
    x, y = images(30), images(30, seed=1)
    different = [
        Pixels(),
        RandomProjection((3, 4, 5), 7),
        RandomProjection((3, 4, 5), 7, seed=1),
        RandomProjection((3, 5, 4), 7),
        RandomProjection((3, 4, 5), 8),
        PCA.fit(x, 4),
        PCA.fit(x, 5),
        PCA.fit(x),
        PCA.fit(x, 4, whiten=False),
        PCA.fit(x, 4, score="ratio"),
        PCA.fit(y, 4),
        PCA.fit(x[:29], 4),
    ]
    assert len({key(item.identity) for item in different}) == len(different)
    assert key(PCA.fit(x, 4).identity) == key(PCA.fit(x.clone(), 4).identity)
    assert torch.equal(PCA.fit(x, 4)(y), PCA.fit(x.clone(), 4)(y))
    same_identity(Pixels().identity, dict(Pixels.identity), ("gen", "train"))
    with pytest.raises(ValueError, match="gen and train were described differently, sha256: "):
        same_identity(
            {"name": "pca", "sha256": "a"}, {"name": "pca", "sha256": "b"}, ("gen", "train")
        )
    with pytest.raises(ValueError, match="seed: null and 3"):
        same_identity({"name": "p"}, {"name": "p", "seed": 3}, ("gen", "train"))


def test_pca_of_many_images_looks_at_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "MOST", 200)
    x = images(500, (1, 3, 3))
    fit, again, other = PCA.fit(x, 3), PCA.fit(x, 3), PCA.fit(x, 3, seed=1)
    assert "200 of 500 images drawn by seed 0" in fit.protocol
    assert torch.equal(fit.axes, again.axes)
    assert not torch.equal(fit.axes, other.axes)
    assert key(fit.identity) != key(other.identity)
    assert torch.equal(
        PCA.fit(x[:200], 3).axes, PCA.fit(x[:200], 3, seed=1).axes
    )  # all are looked at: the seed says nothing


@pytest.mark.parametrize("dims", [3, 12, 30])
def test_as_many_components_as_hold_99_percent(dims: int) -> None:
    generator = torch.Generator().manual_seed(0)
    spread = torch.zeros(100)
    spread[:dims], spread[dims:] = 1.0, 1e-3
    turn = torch.linalg.qr(torch.randn(100, 100, generator=generator)).Q
    x = ((torch.randn(3000, 100, generator=generator) * spread) @ turn).reshape(-1, 1, 10, 10) / 10
    assert PCA.fit(x).axes.shape == (100, max(8, dims))
    assert PCA.fit(x[:6]).axes.shape == (100, 5)
    assert PCA.fit(images(300, (3, 8, 8))).axes.shape == (192, 64)


def test_components_find_copies_of_digits() -> None:
    """The reason for the number of components: all of them, whitened, are drowned by pixels that
    barely vary.
    """
    digits = read_images("digits").data
    train, held_out = digits[:1000], digits[1000:]
    copies = PERTURBATIONS["jpeg"](train[:300], 0)

    def area(describe: PCA) -> float:
        score = [
            -neighbors(describe(x), describe(train), metric="cosine").distance[:, 0].numpy()
            for x in (copies, held_out)
        ]
        ranks = rankdata(np.concatenate(score))
        return float((ranks[:300].sum() - 300 * 301 / 2) / (300 * len(held_out)))

    assert area(PCA.fit(train)) > 0.99
    assert area(PCA.fit(train, 64)) < 0.8


def test_by_name() -> None:
    x = images(100)
    names = {
        word: by_name(word, x).name
        for word in ("pixels", "pca", "pca:7", "projection", "projection:5")
    }
    assert names == {
        "pixels": "pixels",
        "pca": "pca",
        "pca:7": "pca-7",
        "projection": "projection-60",
        "projection:5": "projection-5",
    }
    assert key(by_name("projection:5", x, seed=3).identity) == key(
        RandomProjection((3, 4, 5), 5, 3).identity
    )
    for word in names:
        assert by_name(word, x)(x[:3]).shape[0] == 3


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ("pixle", "did you mean 'pixels'"),
        ("PCA", "did you mean 'pca'"),
        ("projction:4", "did you mean 'projection'"),
        ("", "there is no descriptor ''"),
        ("pixels:four", "there is no descriptor 'pixels:four'"),
        ("pca:0", "from 1 to 60"),
        ("pca:61", "from 1 to 60"),
        ("pca:x", "whole number"),
        ("pca:-3", "whole number"),
        ("projection:9999999", "from 1 to 60"),
        ("no_such_module_here:f", "cannot import no_such_module_here"),
        ("os.path:nothing", "os.path has no nothing"),
        ("os:sep", "is not callable"),
        ("a:b:c", "there is no descriptor"),
    ],
)
def test_by_name_refuses_in_one_line(wrong: str, line: str) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        by_name(wrong, images(100))
    assert "\n" not in str(caught.value)


OWN = '''
"""Features of a user."""
import torch

def rows(images):
    """Means of rows.

    Nothing else."""
    import beside
    return beside.half(images.mean((1, 3)))

def arrays(images):
    return images.flatten(1).double().numpy()[:, :5]
arrays.score = "ratio"
arrays.identity = {"weights": "v1"}
def flat(images): return images.mean((1, 2, 3))
def nan(images): return torch.full((len(images), 2), float("nan"))
def less(images): return images.flatten(1)[1:]
def wild(images): return images.flatten(1)[:, : len(images)]
def fails(images): raise RuntimeError("no\\nmemory")
def scored(images): return images.flatten(1)
scored.score = "distance"
def unplain(images): return images.flatten(1)
unplain.identity = {"x": object()}
class Net:
    def __call__(self, images): return images.flatten(1)
    @staticmethod
    def inner(images): return images.flatten(1)
net = Net()
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_features.py").write_text(OWN)
    (tmp_path / "beside.py").write_text("def half(x): return x / 2\n")
    (tmp_path / "broken_features.py").write_text("def broken(:")
    monkeypatch.chdir(tmp_path)
    for name in ("own_features", "beside", "broken_features"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_a_function_of_the_user(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(sys.path)
    x = images(6)
    rows = by_name("own_features:rows", x)
    assert torch.equal(
        rows(x), x.mean((1, 3)) / 2
    )  # a module beside it is found when the function runs, too
    assert (rows.name, rows.score, rows.costly) == ("own_features:rows", "cosine", True)
    assert rows.protocol == "own_features:rows: Means of rows."
    arrays = Custom("own_features:arrays")
    assert arrays(x).dtype == torch.float32
    assert arrays.score == "ratio"
    assert arrays.identity["own"] == {"weights": "v1"}
    assert key(arrays.identity) != key(rows.identity)
    assert (
        Custom("own_features:net")(x).shape == Custom("own_features:Net.inner")(x).shape == (6, 60)
    )
    assert sys.path == before
    first = rows.identity
    (own / "own_features.py").write_text(OWN + "# edited\n")
    monkeypatch.delitem(sys.modules, "own_features")
    assert key(Custom("own_features:rows").identity) != key(first)


def test_a_function_that_gives_no_features(own: Path) -> None:
    for word, line in (
        ("flat", r"shape \(6,\) for 6 images; needed is \(6, k\)"),
        ("nan", "not finite for image 0"),
        ("less", r"shape \(5, 60\) for 6 images"),
        ("fails", "failed: RuntimeError: no memory"),
    ):
        with pytest.raises(ValueError, match=f"own_features:{word}.*{line}"):
            Custom(f"own_features:{word}")(images(6))
    wild = Custom("own_features:wild")
    wild(images(6))
    with pytest.raises(ValueError, match="5 features per image, and 6 before"):
        wild(images(5))
    for word, line in (
        ("own_features:scored", "'ratio' or 'cosine', got 'distance'"),
        ("own_features:unplain", "JSON"),
        ("own_features:absent", "has no absent"),
        ("broken_features:f", "cannot import broken_features: SyntaxError"),
        ("own features:f", "is not module:function"),
    ):
        with pytest.raises(ValueError, match=line) as caught:
            Custom(word)
        assert "\n" not in str(caught.value)


def test_protocols() -> None:
    assert list(PROTOCOLS) == ["denoscope-1", "rpgl-2024", "dcr-2023"]
    for name, item in PROTOCOLS.items():
        assert protocol(name) is item
        plain = json.loads(json.dumps(item.json(), allow_nan=False))
        assert plain["name"] == name
        assert re.fullmatch(r"\d+-\d+", plain["seeds"])
        assert len(plain["references"]) == len(references(item.cites)) > 0
        assert 0 < item.false_alarm < 1
        assert len(item.seeds) == item.last_seed - item.first_seed + 1
    assert PROTOCOLS["denoscope-1"].descriptors == ("pixels", "pca")
    assert PROTOCOLS["denoscope-1"].false_alarm == 0.01
    assert dict(PROTOCOLS["rpgl-2024"].thresholds) == {"sscd": 0.6}
    assert PROTOCOLS["rpgl-2024"].seeds[-1] == 9999
    assert published(Pixels.identity) is None
    for name, threshold in (("rpgl-2024", 0.6), ("dcr-2023", 0.5)):
        fixed = published({"preprocessing": name})
        assert fixed is not None
        assert fixed.threshold == threshold
        assert references([fixed.cites])
    with pytest.raises(ValueError, match="did you mean 'rpgl-2024'"):
        protocol("rpgl-2023")


def test_pixels_of_sets_that_fill_a_memory_are_rounded_and_say_so() -> None:
    images = torch.rand(3, 3, 96, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    few, many = (by_name("pixels", images, rows=rows) for rows in (10_000, 100_000))
    assert few.identity == Pixels().identity
    assert "half precision" in many.protocol
    assert many.identity != few.identity
    assert many(images).dtype == torch.float16
    assert torch.equal(many(images), few(images).half())
    kept = Cache().features(images, "x", many)
    assert torch.equal(kept, many(images))
