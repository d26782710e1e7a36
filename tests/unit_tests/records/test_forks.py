"""What a forked child begins anew with."""

import threading

from langchain_optscale.records.forks import cached_property


class Circle:
    computed = 0

    def __init__(self, radius, wait=None):
        self.radius = radius
        self.wait = wait

    @cached_property
    def area(self):
        """Three times the square."""
        type(self).computed += 1
        if self.wait is not None:
            self.wait.wait(10)
        return 3 * self.radius**2


def test_a_cached_property_is_computed_once_for_each_instance():
    first, second = Circle(1), Circle(2)
    before = Circle.computed
    assert (first.area, first.area, second.area) == (3, 3, 12)
    assert Circle.computed == before + 2
    assert Circle.area.__doc__ == "Three times the square."


def test_a_thread_that_computes_holds_up_no_other_instance():
    """A lock for all instances stays locked for ever in a child that is forked meanwhile."""
    gate = threading.Event()
    slow = threading.Thread(target=lambda: Circle(1, gate).area, daemon=True)
    slow.start()
    answers = []
    other = threading.Thread(target=lambda: answers.append(Circle(2).area), daemon=True)
    other.start()
    other.join(5)
    gate.set()
    slow.join(5)
    assert answers == [12]
