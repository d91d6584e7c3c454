"""Time and memory of ``denoscope.neighbors`` beside a plain blocked matrix product with top-k, and
beside faiss where it is installed.

    python benchmarks/nearest.py                                      # 10 000 queries, 60 000 rows,
    512 numbers each: about a minute python benchmarks/nearest.py --queries 1000 --bank 6000 --dim
    64  # seconds

The rivals take turns, so that a busy machine slows all of them; the ratios are of their fastest
rounds.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rivals import missing, versus
from torch import Tensor

from denoscope.nearest import bytes_of, neighbors


def plain(query: Tensor, bank: Tensor, k: int, rows: int = 1024) -> tuple[Tensor, Tensor]:
    """What one would write in five lines: |b|² - 2 q·b for a block of queries against the whole
    bank, then top-k.
    """
    squares = bank.square().sum(1)
    found = [
        torch.addmm(squares, block, bank.T, alpha=-2).topk(k, largest=False)
        for block in query.split(rows)
    ]
    index = torch.cat([f.indices for f in found])
    distance = (
        (torch.cat([f.values for f in found]) + query.square().sum(1, keepdim=True))
        .clamp_min_(0)
        .sqrt_()
    )
    return distance, index


def flat(query: Tensor, bank: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """faiss's exact index; the time includes adding the rows to it, which is a copy."""
    import faiss

    index = faiss.IndexFlatL2(bank.shape[1])
    # # faiss replaces this method's C++ signature at import
    index.add(bank.numpy())  # pyright: ignore[reportCallIssue]
    squared, found = index.search(query.numpy(), k)  # pyright: ignore[reportCallIssue]  # as above
    return torch.from_numpy(squared).sqrt_(), torch.from_numpy(found)


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def growth(call: Callable[[], object]) -> int:
    """The most by which memory exceeded its starting level while ``call`` ran, looked at every
    millisecond.
    """
    start, most, done = resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.001):
            most = max(most, resident() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    call()
    done.set()
    watcher.join()
    return most


def clock(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in {
        "queries": 10_000,
        "bank": 60_000,
        "dim": 512,
        "k": 2,
        "threads": 2,
        "rounds": 3,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--max-memory", default="1GiB")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    source = torch.Generator().manual_seed(0)
    query = torch.randn(options.queries, options.dim, generator=source)
    bank = torch.randn(options.bank, options.dim, generator=source)
    found = {}

    def ours() -> None:
        answer = neighbors(query, bank, options.k, max_memory=options.max_memory)
        found["denoscope"] = answer.distance, answer.index

    memory = growth(ours)  # first, while nothing else has grown the process
    rivals: dict[str, Callable[[], object]] = {
        "denoscope": ours,
        "plain": lambda: found.update(plain=plain(query, bank, options.k)),
    }
    try:
        import faiss

        faiss.omp_set_num_threads(options.threads)
        rivals["faiss"] = lambda: found.update(faiss=flat(query, bank, options.k))
    except ImportError:
        missing("exact nearest rows", "faiss", "pip install -c constraints.txt faiss-cpu")
    times = {name: [] for name in rivals}
    for _ in range(options.rounds):
        for name, call in rivals.items():
            times[name].append(clock(call))
    best = {name: min(values) for name, values in times.items()}
    print(
        f"{options.queries} queries x {options.bank} rows x {options.dim} numbers, k = "
        f"{options.k}, {options.threads} threads, float32"
    )
    for name, seconds in best.items():
        print(
            f"{name:10s} {seconds:8.3f} s   rounds "
            f"{' '.join(f'{value:.3f}' for value in times[name])}"
        )
    for name in list(rivals)[1:]:
        same = (found[name][1] == found["denoscope"][1]).float().mean()
        print(f"{name}: same neighbours in {100 * float(same):.3f} % of places")
        what = f"{options.k} nearest of {options.bank} rows, {options.queries} queries"
        rival = {"plain": "torch matmul and topk"}.get(name, name)
        versus(what, best["denoscope"], rival, best[name])
    bound = bytes_of(options.max_memory)
    print(
        f"extra memory {memory / 2**20:.0f} MiB of {bound / 2**20:.0f} MiB allowed: "
        f"{'within' if memory <= bound else 'ABOVE'} the bound"
    )


if __name__ == "__main__":
    main()
