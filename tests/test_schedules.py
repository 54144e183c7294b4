"""Schedules: what a number, an array and a function of t mean, generation by generation."""

import numpy as np
import pytest

import collapse as c


def test_a_function_of_t_is_asked_for_its_own_generation():
    """n for t = 0..T, shares for t = 1..T; generation 0 is all real."""
    asked = {"n": [], "alpha": []}
    plan = c.mixture(
        lambda t: asked["n"].append(t) or 10 + t**2,
        lambda t: asked["alpha"].append(t) or 1 / (1 + t),
        4,
    )
    assert asked == {"n": [0, 1, 2, 3, 4], "alpha": [1, 2, 3, 4]}
    assert plan.n.tolist() == [10, 11, 14, 19, 26]
    assert plan.alpha.tolist() == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    weight = c.weighted(12, 0.5, 3, real_weight=lambda t: t / 4).real_weight
    assert weight.tolist() == [1, 1 / 4, 1 / 2, 3 / 4]


def test_numbers_and_arrays():
    plan = c.mixture(7, [1, 0.5, 0.25, 0.0], 3)
    assert plan.n.tolist() == [7] * 4 and plan.alpha.tolist() == [1, 0.5, 0.25, 0]
    assert c.mixture([3, 1, 2], 0.5, 2).n.tolist() == [3, 1, 2]
    assert c.mixture(3, 0.5, 2).alpha.tolist() == [1, 0.5, 0.5]


def test_sizes_are_rounded_to_the_nearest_whole_number():
    sizes = [0.2, 1.4, 1.6, 2.499, 2.501, 10.9]
    assert c.mixture(lambda t: sizes[t], 0.5, 5).n.tolist() == [1, 1, 2, 2, 3, 11]


@pytest.mark.parametrize("exponent", [-1.5, 0.0, 0.5, 2.0])
def test_power_is_scale_at_0_and_at_1(exponent):
    schedule = c.power(3.0, exponent)
    assert [schedule(t) for t in (0, 1)] == [3, 3]
    for t in (2, 5, 100):
        assert schedule(t) == pytest.approx(3 * t**exponent, rel=1e-15)
    assert c.power(3.0, 2, maximum=50)(100) == 50


def test_geometric_is_start_at_0():
    schedule = c.geometric(3.0, 1.5)
    np.testing.assert_allclose([schedule(t) for t in range(4)], [3, 4.5, 6.75, 10.125])
    assert c.geometric(3.0, 2, maximum=50)(100) == 50 and c.geometric(3.0, 0.5)(1) == 1.5
