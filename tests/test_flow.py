"""Reading ahead changes when work is done, never what comes out."""

from __future__ import annotations

import threading
from itertools import count, islice

import pytest

from adelecli.flow import map_ahead, read_ahead


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("length", [0, 1, 7])
def test_order_and_values_are_those_of_the_plain_loop(depth, length):
    """For any depth, shorter and longer than the items."""
    assert list(read_ahead(iter(range(length)), depth)) == list(range(length))


def test_no_more_than_the_depth_is_made_in_advance():
    """With one item taken, at most ``depth`` others were made."""
    made: list[int] = []
    enough = threading.Event()

    def make():
        for number in count():
            made.append(number)
            if number == 3:
                enough.set()
            yield number

    stream = read_ahead(make(), 3)
    assert next(stream) == 0
    assert enough.wait(5)
    stream.close()
    assert made == [0, 1, 2, 3]


def test_an_error_comes_out_at_its_item():
    """What was made before it is delivered first."""

    def make():
        yield 1
        yield 2
        raise ValueError("the third")

    stream = read_ahead(make())
    assert list(islice(stream, 2)) == [1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(stream)


def test_items_are_made_in_one_thread_that_is_not_the_callers():
    """A source needs no lock of its own."""
    threads = set(read_ahead(threading.get_ident() for _ in range(20)))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("lanes", [1, 2, 5])
@pytest.mark.parametrize("length", [0, 1, 7])
def test_lanes_keep_order_and_values(lanes, length):
    """For any number of lanes, more and fewer than the items."""
    assert list(map_ahead(lambda item: item * item, range(length), lanes)) == [item * item for item in range(length)]


def test_lanes_work_beside_each_other():
    """Two items that wait for each other are both done; one lane would wait for ever."""
    barrier = threading.Barrier(2, timeout=30)

    def meet(item):
        barrier.wait()
        return item

    assert list(map_ahead(meet, range(4), 2)) == [0, 1, 2, 3]


def test_lanes_take_no_more_items_than_they_work_on():
    """With one result taken, as many others as there are lanes were begun; what a caller leaves is not begun at all."""
    taken: list[int] = []

    def take():
        for number in count():
            taken.append(number)
            yield number

    stream = map_ahead(lambda item: item, take(), 3)
    assert next(stream) == 0
    stream.close()
    assert taken == [0, 1, 2, 3]


def test_an_error_in_a_lane_comes_out_at_its_item():
    """What was made before it is delivered first."""

    def work(item):
        if item == 2:
            raise ValueError("the third")
        return item

    stream = map_ahead(work, range(9), 2)
    assert list(islice(stream, 2)) == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(stream)
