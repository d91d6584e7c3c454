"""Independent pieces of work on several threads, each of which computes with one.

A matrix library that splits every operation makes its threads wait for one another after each:
short operations gain little by it, and on a machine that is busy with other work they lose by
factors. Pieces that are whole searches or whole fits wait for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

MOST = 1024
"""Threads of which some libraries cannot start more."""
T = TypeVar("T")
R = TypeVar("R")


def workers(pieces: int) -> int:
    """How many pieces are worked on at once: as many as torch has threads in the caller's, which is
    1 within a piece.
    """
    return max(1, min(torch.get_num_threads(), pieces))


def each(call: Callable[[T], R], items: Sequence[T], *, at_once: int | None = None) -> list[R]:
    """``call`` of every item, in order; the first error ends it. Gradients are recorded as in the
    caller's thread.
    """
    count = workers(len(items)) if at_once is None else at_once
    if count < 2:
        return [call(item) for item in items]
    before, recorded = torch.get_num_threads(), torch.is_grad_enabled()

    def work(item: T) -> R:
        with torch.set_grad_enabled(recorded):
            return call(item)

    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
    try:
        return list(pool.map(work, items))
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(
            before
        )  # what a thread sets holds for threads that are started later, too


@contextmanager
def one_thread() -> Iterator[None]:
    """torch with one thread: what is made of short operations is fastest so."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def at_most(count: int) -> Iterator[None]:
    """The matrix libraries of torch and numpy with ``count`` threads; 0: as they are. A number that
    no machine has is a ValueError.
    """
    from threadpoolctl import threadpool_limits

    if not 0 <= count <= MOST:
        raise ValueError(f"--threads {count}: must lie between 1 and {MOST}, or be 0 for all cores")
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        with threadpool_limits(count or None):
            yield
    finally:
        torch.set_num_threads(before)
