"""Work that several threads share, such as decoding and sorting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nwb_ophys.memory import usable_cores

# Each has some megabytes in hand.
_MOST_THREADS = 4


def in_threads(
    work: Callable[[Any], None], jobs: Sequence[Any], *, is_allowed: bool = True
) -> None:
    """Do all jobs, in any order.

    Parameters
    ----------
    work : callable
        Called with each job.
    jobs : sequence
    is_allowed : bool
        Whether several threads may do so at once.

    Raises
    ------
    Exception
        The error of the first job that failed; jobs that have not begun are left.
    """
    count = min(usable_cores(), _MOST_THREADS, len(jobs)) if is_allowed else 1
    if count < 2:
        for job in jobs:
            work(job)
        return
    pool = ThreadPoolExecutor(count, thread_name_prefix="nwb_ophys report")
    try:
        list(pool.map(work, jobs))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
