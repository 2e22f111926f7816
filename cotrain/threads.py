"""A function called in several threads, for any number of arguments."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")

# Calls that wait or are finished, for each thread. Fewer would leave threads idle while one call takes long.
AHEAD = 8


def map_in_order(
    function: Callable[[Argument], Result], arguments: Iterable[Argument], threads: int
) -> Iterator[Result]:
    """Yield `function` of each argument, in order; `threads` call it.

    Only a few calls are made ahead of the one that is waited for: the executor's own `map` keeps an object of
    2 KB for every argument, and every result until its turn, before it yields the first. After an error,
    calls that have not begun are dropped.
    """
    pool = ThreadPoolExecutor(threads)
    coming: deque[Future[Result]] = deque()
    try:
        for argument in arguments:
            coming.append(pool.submit(function, argument))
            if len(coming) >= AHEAD * threads:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
