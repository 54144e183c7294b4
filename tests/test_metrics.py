"""Metrics against scipy and each other."""

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

from collapse import exact, metrics
from collapse.targets import zipf

RNG = np.random.default_rng(0)
THETA, Q = RNG.dirichlet(np.ones(7), size=(3, 4)), zipf(7)


def test_against_scipy():
    np.testing.assert_allclose(metrics.entropy(THETA), scipy_entropy(THETA, axis=-1))
    full = np.broadcast_to(Q, THETA.shape)
    np.testing.assert_allclose(metrics.kl(THETA, Q), scipy_entropy(full, THETA, axis=-1))
    np.testing.assert_allclose(metrics.kl_reverse(THETA, Q), scipy_entropy(THETA, full, axis=-1))


def test_definitions():
    np.testing.assert_allclose(metrics.l2(THETA, Q), np.linalg.norm(THETA - Q, axis=-1) ** 2)
    np.testing.assert_allclose(metrics.l1(THETA, Q), np.linalg.norm(THETA - Q, ord=1, axis=-1))
    np.testing.assert_allclose(metrics.tv(THETA, Q), np.maximum(THETA - Q, 0).sum(axis=-1))
    np.testing.assert_allclose(metrics.chi_square(THETA, Q), (THETA**2 / Q).sum(axis=-1) - 1)
    np.testing.assert_allclose(metrics.heterozygosity(THETA), 1 - (THETA**2).sum(axis=-1))
    np.testing.assert_allclose(exact.heterozygosity(THETA), metrics.heterozygosity(THETA))


@pytest.mark.parametrize("name", metrics.__all__)
def test_shapes(name):
    f = getattr(metrics, name)
    assert f(THETA, Q).shape == (3, 4) and f(THETA, THETA).shape == (3, 4) and f(Q, Q).shape == ()


def test_edges():
    dead, p = [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]
    assert metrics.kl(dead, p) == np.inf and metrics.kl_reverse(dead, p) == pytest.approx(np.log(2))
    assert metrics.kl_reverse([0, 0, 1], p) == np.inf and metrics.chi_square([0, 0, 1], p) == np.inf
    assert metrics.chi_square(dead, p) == 1 and metrics.coverage(dead, p) == 0.5
    assert metrics.coverage([0.5, 0.0, 0.5], p) == 0.5 and metrics.coverage([0, 0, 1], p) == 0
    assert metrics.entropy(dead) == 0 and metrics.heterozygosity(dead) == 0
    for name in ("l1", "l2", "tv", "kl", "kl_reverse", "chi_square"):
        assert getattr(metrics, name)(THETA, THETA).max() < 1e-15


def test_no_digits_are_lost_near_the_target():
    d = 1e-9
    assert metrics.kl([0.5 + d, 0.5 - d], [0.5, 0.5]) == pytest.approx(2 * d**2, rel=1e-6)
    assert metrics.kl_reverse([0.5 + d, 0.5 - d], [0.5, 0.5]) == pytest.approx(2 * d**2, rel=1e-6)
    assert metrics.kl([1e-320, 1], [0.5, 0.5]) == pytest.approx(
        0.5 * (np.log(0.5) - np.log(1e-320)) + 0.5 * np.log(0.5)
    )
    assert metrics.chi_square([1e-170, 1], [0, 1]) == np.inf
    assert exact.heterozygosity([1 + 9e-10]) == 0 and metrics.entropy([1 + 9e-10]) == 0
