import threading

import pytest

from cotrain.threads import AHEAD, map_in_order


def test_results_come_in_the_order_of_the_arguments():
    waits = threading.Event()

    def work(number):
        # The first is finished last.
        if number == 0:
            assert waits.wait(60)
        if number == 3:
            waits.set()
        return -number

    assert list(map_in_order(work, range(100), 2)) == [-number for number in range(100)]
    assert list(map_in_order(work, [], 2)) == []


def test_few_arguments_are_taken_ahead_of_what_is_asked_for():
    taken = []

    def arguments():
        for number in range(1000):
            taken.append(number)
            yield number

    results = map_in_order(str, arguments(), 2)
    assert [next(results) for _ in range(10)] == list("0123456789")
    assert len(taken) == 2 * AHEAD + 9
    results.close()
    assert len(taken) == 2 * AHEAD + 9


def test_the_first_error_in_the_order_is_raised_and_the_rest_is_dropped():
    called = []

    def work(number):
        called.append(number)
        return 1 / (number - 5)

    results = map_in_order(work, range(1000), 1)
    assert [next(results) for _ in range(5)] == [1 / (number - 5) for number in range(5)]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(called) <= 5 + 1 + AHEAD
