"""Work that is done in the background, in order, while the caller goes on."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

# More would hold more memory and gain nothing: the slower side decides.
AHEAD = 8


class Background:
    """Makes calls in one thread of its own, in the order in which they come.

    At most `ahead` calls wait or run; the next one makes the caller wait. What a call raises is raised by a
    later `call`, or at the end of the context, which waits for all calls. If the context itself fails, calls
    that have not begun are dropped.
    """

    def __init__(self, ahead: int = AHEAD) -> None:
        self.ahead = ahead
        self.pool = ThreadPoolExecutor(1)
        self.waiting: deque[Future[Any]] = deque()

    def __enter__(self) -> "Background":
        return self

    def call(self, work: Callable[..., object], *arguments: Any) -> None:
        """Have `work(*arguments)` called; the arguments must not be changed any more."""
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
