"""Work on several threads gives what it gives on one, leaves torch's settings as they were, and
stops at an error.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from denoscope.metrics import feature_likelihood, frechet, mifid, vendi
from denoscope.nearest import neighbors, within
from denoscope.threads import each, workers


@pytest.fixture
def two() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_results_come_in_order_whatever_ends_first(two: None) -> None:
    def late(i: int) -> int:
        time.sleep(0.05 if i == 0 else 0.0)
        return i * i

    assert each(late, range(6)) == [0, 1, 4, 9, 16, 25]
    assert each(late, []) == []


def test_pieces_run_side_by_side_with_one_thread_each(two: None) -> None:
    together = threading.Barrier(2, timeout=20)

    def piece(_: int) -> tuple[int, int]:
        together.wait()  # breaks unless both are there
        return torch.get_num_threads(), workers(9)

    assert each(piece, range(2)) == [(1, 1), (1, 1)]
    assert torch.get_num_threads() == 2
    started = []
    thread = threading.Thread(target=lambda: started.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert started == [2]


def test_one_piece_or_one_thread_needs_no_other_thread() -> None:
    here = threading.get_ident()
    assert each(lambda _: threading.get_ident(), range(3), at_once=1) == [here] * 3


def test_gradients_are_recorded_as_in_the_caller(two: None) -> None:
    with torch.no_grad():
        assert each(lambda _: torch.is_grad_enabled(), range(4)) == [False] * 4
    assert each(lambda _: torch.is_grad_enabled(), range(4)) == [True] * 4


def test_the_first_error_ends_it_and_the_settings_are_put_back(two: None) -> None:
    seen = []

    def piece(i: int) -> None:
        seen.append(i)
        time.sleep(0.01)
        if i == 1:
            raise ValueError("the second")

    with pytest.raises(ValueError, match="the second"):
        each(piece, range(1000))
    assert len(seen) < 100
    assert torch.get_num_threads() == 2


def test_a_search_on_two_threads_is_that_on_one_to_the_last_bit(two: None) -> None:
    bank, query = (
        normal(4000, 96),
        torch.cat([normal(1000, 96, seed=1), normal(4000, 96)[:300]]),
    )  # two chunks' worth of work and more

    def found() -> tuple[Tensor, ...]:
        near, own = (
            neighbors(query, bank, 3),
            neighbors(bank, bank, 2, exclude_self=True, metric="cosine"),
        )
        return near.distance, near.index, own.distance, own.index, within(query, bank, 11.0)

    several = found()
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(several, found()))
    assert len(several[-1]) > 300


def test_metrics_on_two_threads_are_those_on_one(two: None) -> None:
    gen, train, test = normal(90, 8), normal(110, 8, seed=1), normal(70, 8, seed=2)
    calls = [
        lambda: frechet(gen, test),
        lambda: mifid(gen, train),
        lambda: vendi(gen),
        lambda: feature_likelihood(gen, train, test),
    ]
    several = [call() for call in calls]
    torch.set_num_threads(1)
    for one, other in zip(several, (call() for call in calls)):
        assert (one.value, one.low, one.high) == pytest.approx(
            (other.value, other.low, other.high), rel=1e-7
        )
