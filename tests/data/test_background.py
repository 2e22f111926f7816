import threading

import pytest

from cotrain.data.background import Background


def test_calls_are_made_in_order_in_one_other_thread():
    numbers, threads = [], set()

    def work(number):
        threads.add(threading.current_thread())
        numbers.append(number)

    with Background(ahead=2) as background:
        for number in range(50):
            background.call(work, number)
    # The end of the context waits for all calls.
    assert numbers == list(range(50))
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def test_the_caller_continues_and_waits_when_too_far_ahead():
    may_go, begun = threading.Event(), threading.Event()
    returned = []

    def wait():
        begun.set()
        may_go.wait(20)

    def call_three(background):
        for number in range(3):
            background.call(wait)
            returned.append(number)

    with Background(ahead=2) as background:
        caller = threading.Thread(target=call_three, args=(background,))
        caller.start()
        assert begun.wait(20)
        caller.join(0.2)
        # Two calls are accepted, the third must wait.
        assert returned == [0, 1]
        may_go.set()
        caller.join(20)
    assert returned == [0, 1, 2]


def fail():
    raise OSError("no space left on device")


def test_an_error_ends_a_long_row_of_calls_soon():
    numbers = iter(range(1000))

    def call_many():
        with Background(ahead=3) as background:
            background.call(fail)
            for number in numbers:
                background.call(abs, number)

    with pytest.raises(OSError, match="no space left"):
        call_many()
    assert next(numbers) <= 3


def test_an_error_of_the_last_call_is_raised_at_the_end():
    def call_two():
        with Background() as background:
            background.call(list)
            background.call(fail)

    with pytest.raises(OSError, match="no space left"):
        call_two()


def test_a_failing_context_drops_what_has_not_begun():
    may_go, begun, done = threading.Event(), threading.Event(), []

    def wait():
        begun.set()
        may_go.wait(20)

    def leave():
        with Background() as background:
            background.call(wait)
            background.call(done.append, 1)
            assert begun.wait(20)
            threading.Timer(0.1, may_go.set).start()
            raise KeyError("of the caller")

    with pytest.raises(KeyError, match="of the caller"):
        leave()
    assert done == []
