"""Calls that run in the background, one after the other, while the caller continues."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

# More would need more memory and not be faster: the slower side sets the pace.
AHEAD = 8


class Background:
    """Makes calls in its own thread, in the order in which they were given.

    At most `ahead` calls wait or run; if there are as many, `call` waits. An exception of a call is raised by
    a later `call` or at the end of the context, which waits for all calls. If the context itself fails, calls
    that have not begun are dropped.
    """

    def __init__(self, ahead: int = AHEAD) -> None:
        self.ahead = ahead
        self.pool = ThreadPoolExecutor(1)
        self.waiting: deque[Future[Any]] = deque()

    def __enter__(self) -> "Background":
        return self

    def call(self, work: Callable[..., object], *arguments: Any) -> None:
        """Call `work(*arguments)` in the background; the caller must not change the arguments afterwards."""
        while self.waiting and (self.waiting[0].done() or len(self.waiting) >= self.ahead):
            self.waiting.popleft().result()
        self.waiting.append(self.pool.submit(work, *arguments))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while kind is None and self.waiting:
                self.waiting.popleft().result()
        finally:
            self.pool.shutdown(cancel_futures=True)
