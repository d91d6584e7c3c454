"""Where jobs run: one after the other here, or on several single-threaded processes.

A job is a picklable callable that takes ``tell`` and reports its progress to it as a fraction. An
executor takes jobs in order of preference and yields ``(index, result)`` as they end; what a job
raised comes back in place of its result, so one failure stops nothing else. State lives in the
store, never here: a lost worker costs at most what its job had not yet written.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

Tell = Callable[[float], None]
Job = Callable[[Tell], Any]
Progress = Callable[[int, float], None]
Executor = Callable[[Sequence[Job], Progress], Iterator[tuple[int, Any]]]

# the pipe of a worker process to its parent; set once by the pool's initializer, unused elsewhere
_told: Any = None


def cores() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def serial(jobs: Sequence[Job], progress: Progress) -> Iterator[tuple[int, Any]]:
    """One job after the other in this process, with the threads it has."""
    for index, job in enumerate(jobs):
        try:
            result = job(lambda fraction, index=index: progress(index, fraction))
        except Exception as error:
            result = error
        yield index, result


def _begin(told: Any, threads: int) -> None:
    """Readies a worker: interrupts are its parent's business, it ends with its parent, and it keeps
    to its threads.
    """
    global _told
    _told = told
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def follow() -> None:
            wait([sentinel])
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
    import torch

    torch.set_num_threads(threads)


def _call(index: int, job: Job) -> Any:
    return job(lambda fraction: _told.put((index, fraction)))


def processes(workers: int | None = None, *, threads: int = 1) -> Executor:
    """An executor on ``workers`` fresh processes (default: one per core), ``threads`` threads each.

    A worker that dies (killed, out of memory) is reported in place of its jobs' results.
    """

    def execute(jobs: Sequence[Job], progress: Progress) -> Iterator[tuple[int, Any]]:
        context = multiprocessing.get_context("spawn")
        told = context.SimpleQueue()
        count = max(1, min(workers or cores(), len(jobs)))
        pool = ProcessPoolExecutor(
            count, mp_context=context, initializer=_begin, initargs=(told, threads)
        )

        def listen() -> None:
            while (message := told.get()) is not None:
                progress(*message)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        finished = False
        try:
            futures: dict[Future[Any], int] = {
                pool.submit(_call, index, job): index for index, job in enumerate(jobs)
            }
            for future in as_completed(futures):
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    error = RuntimeError(
                        "a worker process ended abruptly (killed, or out of memory); run "
                        "the same command again to go on"
                    )
                yield futures[future], error if error is not None else future.result()
            finished = True
        finally:
            if not finished:
                for process in list((pool._processes or {}).values()):
                    process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            told.put(None)
            listener.join(timeout=5)

    return execute
