"""Recover: read-out and its weights, the share of a history, of one batch, of a mark."""

import subprocess
import sys
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference import blend, counts_law
from scipy import sparse
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, chi2, norm, t

from collapse import design, exact, mixture, recover

FALSE_ALARM = 1e-6


def uniform(K):
    return np.full(K, 1 / K)


def zipf(K, s=1.0):
    p = np.arange(1, K + 1) ** -s
    return p / p.sum()


def history(p, n, alpha, T, R, seed, publish=None):
    """Batches (T+1, R, K) and models (T, R, K) of a loop that is trained blindly."""
    rng = np.random.default_rng(seed)
    sizes = np.broadcast_to(n, T + 1)
    y, x = [rng.multinomial(sizes[0], p, size=R) / sizes[0]], []
    for size in sizes[1:]:
        x.append(y[-1] if publish is None else publish(y, x))
        q = alpha * p + (1 - alpha) * x[-1]
        y.append(rng.multinomial(size, q / q.sum(axis=-1, keepdims=True)) / size)
    return np.array(y), np.array(x), sizes


# The theory of the share


@pytest.mark.parametrize("seed", range(20))
def test_H1_what_history_determines(seed):
    """Two models give share and target; one gives the pairs of the claim and no other."""
    rng = np.random.default_rng(seed)
    p, one, two = rng.dirichlet(np.ones(4), size=3)
    alpha = rng.uniform(0.05, 0.95)
    q, r = (alpha * p + (1 - alpha) * x for x in (one, two))
    found = 1 - (q - r) @ (one - two) / ((one - two) @ (one - two))
    assert found == pytest.approx(alpha, abs=1e-9)
    np.testing.assert_allclose((q - (1 - found) * one) / found, p, atol=1e-9)
    least = 1 - (q / one).min()
    assert least <= alpha
    for a in np.append(np.linspace(0.02, 1, 50), [least - 1e-6, least + 1e-6]):
        law = one + (q - one) / a
        np.testing.assert_allclose(a * law + (1 - a) * one, q, atol=1e-12)
        assert (law.min() >= 0) == (a >= least)


def gaussian_loop(d, alpha, T, R, seed, publish):
    """Noise of covariance 1, sizes 1, target 0: the setting in which H4 and H5 are exact."""
    rng = np.random.default_rng(seed)
    y, x = [rng.normal(size=(R, d))], []
    for _ in range(T):
        x.append(publish(y, x))
        y.append((1 - alpha) * x[-1] + rng.normal(size=(R, d)))
    return np.array(y), np.array(x)


def unexplained(y, x, a):
    step = y[1:] - (1 - a) * x
    best = (y[0] + a * step.sum(axis=0)) / (1 + a**2 * len(x))
    return best, ((y[0] - best) ** 2).sum(-1) + ((step - a * best) ** 2).sum((0, 2))


RULES = {
    "newest": lambda y, x: y[-1],
    "average": lambda y, x: np.mean(y, axis=0),
    "adaptive": lambda y, x: np.where(y[-1][:, :1] > y[0][:, :1], y[-1], np.mean(y, axis=0)),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_H4_the_score_has_mean_zero(rule):
    """False alarm 1e-6; the score without its logarithm is seen to be off."""
    d, alpha, T, R = 4, 0.3, 12, 20_000
    y, x = gaussian_loop(d, alpha, T, R, 11, rule)
    up, down = (unexplained(y, x, alpha + s)[1] for s in (1e-5, -1e-5))
    slope = -(up - down) / 4e-5
    se = slope.std() / np.sqrt(R)
    assert abs(slope.mean() - d * alpha * T / (1 + alpha**2 * T)) < 4.9 * se
    assert slope.mean() > 15 * se


def test_H4_share_is_the_share():
    """Mean of 400 histories: false alarm 1e-6; the bias of -.022 of K - 1 for d_w would be seen."""
    y, x, n = history(zipf(50), 200, 0.1, 60, 400, 12)
    value = recover.share(y, x, n).value
    assert abs(value.mean() - 0.1) < 4.9 * value.std() / 20 + 0.003 < 0.011


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_H5_the_read_out_is_independent_of_differences(rule):
    """Covariance 1/L, no correlation with differences or their squares; false alarm 1e-6 in all."""
    d, alpha, T, R = 3, 0.4, 8, 40_000
    y, x = gaussian_loop(d, alpha, T, R, 13, rule)
    best, rest = unexplained(y, x, alpha)
    L = 1 + alpha**2 * T
    assert abs((best**2).sum(-1).mean() * L / d - 1) < 4.9 * np.sqrt(2 / (d * R))
    others = np.column_stack([*(y[t, :, 0] - y[0, :, 0] for t in range(1, T + 1)), rest])
    others = np.column_stack([others, others**2])
    for mine in (best[:, 0], best[:, 0] ** 2):
        r = [np.corrcoef(mine, other)[0, 1] for other in others.T]
        assert np.abs(r).max() < 6 / np.sqrt(R)
    wrong, _ = unexplained(y, x, alpha + 0.3)  # at another share they are not independent
    assert np.abs(np.corrcoef(wrong[:, 0], y[1, :, 0] - y[0, :, 0])[0, 1]) > 6 / np.sqrt(R)


def test_H6_a_good_model_hides_its_share():
    """K = 20 alike, T = 100: the s.d. of the blind loop within a third of what information says,
    more than three times as much where the best estimate is published; there the target pays."""
    d, alpha, T, n, R = 19, 0.2, 100, 400, 200

    def told(y, x):
        return y[0] if len(y) == 1 else recover.readout(y, x, n, alpha)[-1]

    loops = [history(uniform(20), n, alpha, T, R, 14, rule) for rule in (None, told)]
    blind, good = (recover.share(*loop) for loop in loops)
    says = np.sqrt(alpha * (2 - alpha) / (d * T)), alpha / np.sqrt(d * np.log(1 + alpha**2 * T))
    assert 2 / 3 < blind.value.std() / says[0] < 4 / 3
    assert good.value.std() > max(says[1], 3 * blind.value.std())
    error, best = (((v - 0.05) ** 2).sum(-1).mean() for v in (good.p, told(*loops[1][:2])))
    assert 1.5 * best < error < 3 * best


def test_H7_one_top_and_steps_that_climb():
    """EM from two starts climbs to one likelihood, which no random law passes."""
    y, x, n = history(zipf(6), 300, 0.4, 20, 1, 16)
    counts, x, rng = n[1:, None] * y[1:, 0], x[:, 0], np.random.default_rng(17)

    def likelihood(s):
        return (counts * np.log(s + (1 - s.sum()) * x)).sum()

    tops = []
    for s in (np.full(6, 0.02), 0.9 * rng.dirichlet(np.ones(6))):
        now, values = s, [likelihood(s)]
        for _ in range(3000):
            now = now * (counts / (now + (1 - now.sum()) * x)).sum(axis=0) / counts.sum()
            values.append(likelihood(now))
        assert (np.diff(values) > -1e-8).all()
        tops.append(values[-1])
    assert tops[0] == pytest.approx(tops[1], abs=1e-5)
    some = [rng.uniform() * rng.dirichlet(np.ones(6)) for _ in range(500)]
    assert max(map(likelihood, some)) < tops[0]
    for a, b in zip(some[::2], some[1::2], strict=True):  # concave
        assert likelihood((a + b) / 2) >= (likelihood(a) + likelihood(b)) / 2 - 1e-9


# The read-out


def stubborn(batches):  # a rule of publishing that reacts to all that was seen
    latest, first = batches[-1], batches[0]
    return latest if latest[0] >= first[0] else (Fraction(0), Fraction(1))


RULES = {"the newest batch": lambda batches: batches[-1], "one that reacts": stubborn}


def every_history(p, n, alpha, rule):
    """All (probability, batches, models published) of a small loop, in rational numbers."""
    histories = [(Fraction(1), (), ())]
    for size, a in zip(n, alpha, strict=True):
        longer = []
        for chance, batches, models in histories:
            model = rule(batches) if batches else p
            published = (*models, model) if batches else models
            q = blend(model, p, a)
            longer += [
                (chance * step, (*batches, tuple(Fraction(c, size) for c in counts)), published)
                for counts, step in counts_law(size, q).items()
            ]
        histories = longer
    return histories


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("alpha", [(1, 0.5, 0.25), (1, 0.0, 0.75), (1, 1.0, 0.125)], ids=str)
def test_H3_readout_by_enumeration(rule, alpha):
    """Unbiased and no worse than 1/L for every rule; its projection no worse."""
    p, n = (Fraction(3, 4), Fraction(1, 4)), (1, 5, 4)
    found = every_history(p, n, [Fraction(a) for a in alpha], rule)
    chance = np.array([float(part) for part, _, _ in found])
    y = np.array([batches for _, batches, _ in found], dtype=float).swapaxes(0, 1)
    x = np.array([models for _, _, models in found], dtype=float).swapaxes(0, 1)
    truth, L = np.array(p, dtype=float), np.cumsum(np.square(alpha) * n)
    raw = recover.readout(y, x, n, alpha, project=False)
    np.testing.assert_allclose(chance @ raw, np.tile(truth, (3, 1)), atol=1e-13)
    risk = ((raw - truth) ** 2).sum(axis=-1) @ chance
    assert (risk <= 1 / L + 1e-13).all()
    assert (((recover.readout(y, x, n, alpha) - truth) ** 2).sum(axis=-1) @ chance <= risk).all()
    if raw.min() < 0:  # the price of the projection
        assert abs(chance @ recover.readout(y, x, n, alpha) - truth).max() > 1e-4
    assert raw.min() < 0 or alpha[1] != 0.5


@pytest.mark.parametrize("alpha", [(1, 0.5, 0.25), (1, 0.125, 0.125)], ids=str)
def test_H3_readout_with_the_best_weights_by_enumeration(alpha):
    """Covariance 1 / sum of the weights, exactly; the default weights give more."""
    p, n = (Fraction(1, 2), Fraction(3, 8), Fraction(1, 8)), (1, 3, 4)
    found = every_history(p, n, [Fraction(a) for a in alpha], RULES["the newest batch"])
    chance = np.array([float(part) for part, _, _ in found])
    y = np.array([batches for _, batches, _ in found], dtype=float).swapaxes(0, 1)
    x = np.array([models for _, _, models in found], dtype=float).swapaxes(0, 1)
    truth, a = np.array(p, dtype=float), np.array(alpha)
    rho = exact.inflation(mixture(n, alpha, 2))
    error = recover.readout(y, x, n, alpha, rho=rho[:-1], project=False) - truth
    seen = np.einsum("r,trk,trl->tkl", chance, error, error)
    weights = a**2 * n / (1 - (1 - a) ** 2 * np.concatenate([[0], rho[:-1]]))
    sigma = np.diag(truth) - np.outer(truth, truth)
    np.testing.assert_allclose(seen, sigma / np.cumsum(weights)[:, None, None], atol=1e-13)
    plain = recover.readout(y, x, n, alpha, project=False) - truth
    plain = ((plain**2).sum(axis=-1) @ chance)[1:]
    assert (plain > 1.01 * np.trace(seen, axis1=1, axis2=2)[1:]).all()


def test_H3_readout_of_a_poor_first_batch():
    """n = [1, 1000], alpha = .1: worth 41.7, 53.6 with the best weights; C4 1.24."""
    p, R = uniform(10), 20_000
    y, x, n = history(p, [1, 1000], 0.1, 1, R, 1)
    h = exact.heterozygosity(p)
    for rho, worth in ((None, 41.7), ([1.0], 53.6)):
        error = ((recover.readout(y, x, n, 0.1, rho=rho, project=False)[1] - p) ** 2).sum(axis=-1)
        z = (error.mean() - h / worth) / error.std() * np.sqrt(R)
        assert abs(z) < 4.9 and 0.06 * h / worth > 2 * 4.9 * error.std() / np.sqrt(R)


def test_readout_without_fresh_data_is_the_first_batch():
    y, x, n = history(uniform(4), 9, 0.0, 5, 3, 2)
    for rho in (None, np.ones(5)):
        found = recover.readout(y, x, n, 0.0, rho=rho)
        np.testing.assert_allclose(found, np.tile(y[0], (6, 1, 1)), atol=1e-15)


@given(arrays(float, st.integers(1, 6), elements=st.floats(-1e3, 1e3)))
def test_simplex_is_the_nearest_point(v):
    """On the simplex, and (v - found) . (vertex - found) <= 0 for every vertex."""
    found = recover.simplex(v)
    assert found.min() >= 0 and found.sum() == pytest.approx(1, abs=1e-12)
    gap = v - found
    assert (gap - gap @ found <= 1e-9).all()


def test_simplex_of_large_numbers_and_of_a_batch():
    np.testing.assert_allclose(recover.simplex([1e16, 1e16, 0.0]), [0.5, 0.5, 0])
    v = np.random.default_rng(1).normal(size=(3, 4, 5))
    np.testing.assert_array_equal(recover.simplex(v)[1, 2], recover.simplex(v[1, 2]))


# The share, from a history


def by_hand(y, x, n, a):
    """The restricted likelihood of a, written from its definition; its p and its dispersion."""
    w, mean = 1 / (y[0] + 3 / n[0]), n @ y / n.sum()
    d, d_ = (w * mean * (1 - mean)).sum(), n[0] + a**2 * n[1:].sum()
    p = (n[0] * y[0] + a * n[1:] @ (y[1:] - (1 - a) * x)) / d_
    rest = y - np.concatenate([[p], (1 - a) * x + a * p])
    return -(d * np.log(d_) + (w * rest**2).sum(axis=-1) @ n) / 2, p, (w * rest**2).sum(axis=-1) @ n


@pytest.mark.parametrize("alpha", [0.05, 0.3, 0.8, 1.0])
def test_share_maximises_its_likelihood(alpha):
    y, x, n = history(zipf(6), 400, alpha, 30, 4, 3)
    found = recover.share(y, x, n)
    for i in range(4):
        one = (y[:, i], x[:, i], n)
        best = minimize_scalar(lambda a, one=one: -by_hand(*one, a)[0], (0, 1), bounds=(0, 1))
        top, p, squares = by_hand(*one, found.value[i])
        assert -best.fun <= top + 1e-6
        assert found.value[i] == pytest.approx(best.x, abs=1e-4)
        np.testing.assert_allclose(found.p[i], recover.simplex(p), atol=1e-12)
        w, mean = 1 / (one[0][0] + 3 / n[0]), n @ one[0] / n.sum()
        sigma, pull = np.diag(mean) - np.outer(mean, mean), w * (p - one[1])
        ratio = np.einsum("tk,kl,tl,t->", pull, sigma, pull, n[1:]) / (n[1:] @ (pull**2 / w).sum(1))
        spread = max(1, squares / ((w * mean * (1 - mean)).sum() * 30), ratio)
        for end, limit in ((found.low[i], 0.0), (found.high[i], 1.0)):
            drop = 2 * (top - by_hand(*one, end)[0]) / spread
            assert drop == pytest.approx(chi2.ppf(0.95, 1), abs=1e-6) or (
                end == limit and drop <= chi2.ppf(0.95, 1) + 1e-9
            )
    alone = recover.share(y[:, 2], x[:, 2], n)
    np.testing.assert_allclose(alone[:3], [part[2] for part in found[:3]], rtol=1e-6)


SETTINGS = {  # K, n, alpha, T, histories
    "two tokens": (uniform(2), 200, 0.3, 60, 400),
    "two, short": (uniform(2), 100, 0.5, 3, 400),
    "twenty": (uniform(20), 100, 0.2, 50, 400),
    "twenty, small share": (uniform(20), 1000, 0.05, 100, 400),
    "one batch": (uniform(20), 1000, 0.5, 1, 400),
    "all real": (uniform(20), 200, 1.0, 20, 400),
    "fifty, Zipf": (zipf(50), 200, 0.1, 50, 300),
    "steep Zipf": (zipf(50, 2.0), 200, 0.1, 50, 300),
    "sizes that change": (zipf(20), np.resize([50, 400, 100], 41), 0.3, 40, 300),
    "thousand, Zipf": (zipf(1000), 500, 0.3, 30, 60),
    "thousand, sparse": (uniform(1000), 200, 0.2, 30, 60),
    "five thousand, sparse": (zipf(5000), 1000, 0.3, 20, 60),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_share_covers(name):
    """At least .90 of the time, false alarm 1e-6; a coverage of .5 would be seen."""
    p, n, alpha, T, R = SETTINGS[name]
    y, x, n = history(p, n, alpha, T, R, 4)
    found = recover.share(y, x, n)
    hits = int(((found.low <= alpha) & (alpha <= found.high)).sum())
    assert binomtest(hits, R, 0.90, alternative="less").pvalue > FALSE_ALARM
    assert binomtest(round(0.5 * R), R, 0.90, alternative="less").pvalue < FALSE_ALARM
    assert (found.high - found.low).mean() < 0.6 or T < 5  # and says something
    assert ((found.low <= found.value) & (found.value <= found.high)).all()


def test_share_undercoverage_is_seen():
    """Intervals of level .5 called .95 fail the test above."""
    p, n, alpha, T, R = SETTINGS["twenty"]
    y, x, n = history(p, n, alpha, T, R, 4)
    found = recover.share(y, x, n, level=0.5)
    hits = int(((found.low <= alpha) & (alpha <= found.high)).sum())
    assert binomtest(hits, R, 0.90, alternative="less").pvalue < FALSE_ALARM


def test_share_under_a_rule_of_publishing_that_reacts():
    def publish(y, x):  # the sharper of the last two batches
        last, before = y[-1], y[-2] if len(y) > 1 else y[-1]
        keep = (last**2).sum(axis=-1) > (before**2).sum(axis=-1)
        return np.where(keep[:, None], last, before)

    alpha = 0.4
    y, x, n = history(zipf(20), 300, alpha, 40, 400, 5, publish)
    found = recover.share(y, x, n)
    hits = int(((found.low <= alpha) & (alpha <= found.high)).sum())
    assert binomtest(hits, 400, 0.90, alternative="less").pvalue > FALSE_ALARM


def test_share_says_nothing_where_there_is_nothing():
    found = recover.share(np.tile([1.0, 0.0], (4, 1)), np.tile([1.0, 0.0], (3, 1)), 5)
    assert np.isnan(found.value) and (found.low, found.high) == (0, 1)
    assert "nothing" in str(found)


def test_share_of_a_large_vocabulary():
    y, x, n = history(zipf(50_257), 20_000, 0.3, 8, 1, 6)
    found = recover.share(y[:, 0], x[:, 0], n)
    assert found.low <= 0.3 <= found.high and found.high - found.low < 0.1
    assert found.p.shape == (50_257,) and found.p.sum() == pytest.approx(1)


# The test for reuse


def test_H8_reuse_has_its_size_by_enumeration():
    """All histories of two tokens, n = 2, T = 2, all orders: P(p-value <= u) <= u."""
    p, n = (0.75, 0.25), 2
    law, orders = binom.pmf(range(n + 1), n, p[0]), list(product(range(n + 1), repeat=3))
    values = np.array(orders) / n
    y = np.stack([values, 1 - values], axis=-1).swapaxes(0, 1)
    found = recover.reuse(y, permutations=1999, rng=1)
    chance = law[np.array(orders)].prod(axis=1)
    for u in np.unique(found):
        # of 1999 random orders in place of all 6: off by at most 4.9 standard errors
        assert chance[found <= u].sum() <= u + 4.9 * np.sqrt(u * (1 - u) / 1999)
    assert found.min() < 0.4  # it can reject at all


@pytest.mark.parametrize("p", [uniform(2), zipf(30), uniform(500)], ids=len)
def test_H8_reuse_has_its_size(p):
    """False alarm 1e-6; a size of .10 at level .05 would be seen."""
    R = 4000
    rng = np.random.default_rng(7)
    y = rng.multinomial(20, p, size=(8, R)) / 20
    hits = int((recover.reuse(y, permutations=99, rng=2) <= 0.05).sum())
    assert binomtest(hits, R, 0.05, alternative="greater").pvalue > FALSE_ALARM
    assert binomtest(round(0.1 * R), R, 0.05, alternative="greater").pvalue < FALSE_ALARM


def test_H8_reuse_is_seen():
    """Zipf 50, alpha = .9, n = 1000, T = 20: power above .8 at level .05."""
    y, _, _ = history(zipf(50), 1000, 0.9, 20, 400, 8)
    power = (recover.reuse(y, permutations=199, rng=3) <= 0.05).mean()
    assert power > 0.8
    least = recover.reuse(history(zipf(50), 1000, 0.5, 20, 40, 9)[0], rng=3)
    assert (least <= 0.01).all() and least.min() == 1 / 1000  # the order as it was is one of them


@pytest.mark.parametrize(("c", "weights"), [(1.0, "1/p"), (2.0, "1/p"), (2.0, "1")])
def test_H8_power_meets_its_limit(c, weights):
    """Phi(c - 1.645) at T = 200, false alarm 1e-6 beside .015 for T and n; .1 off would be seen."""
    p, T, R, rng = zipf(20), 200, 2000, np.random.default_rng(19)
    sigma = np.diag(p) - np.outer(p, p)
    scaled = sigma / p[:, None] if weights == "1/p" else sigma
    directions = np.trace(scaled) ** 2 / np.trace(scaled @ scaled)
    assert directions == pytest.approx(19) if weights == "1/p" else directions < 10
    y, _, _ = history(p, 5000, 1 - c / np.sqrt(directions * T), T, R, 20)
    if weights == "1/p":
        values = recover.reuse(y, permutations=199, rng=4)
    else:
        off = np.moveaxis(y - y.mean(axis=0), 0, -2)
        gram = off @ np.swapaxes(off, -1, -2)
        orders = [np.arange(T + 1), *(rng.permutation(T + 1) for _ in range(199))]
        found = np.array([gram[..., order[1:], order[:-1]].sum(axis=-1) for order in orders])
        values = (found >= found[0]).mean(axis=0)
    limit = norm.cdf(c - norm.isf(0.05))
    noise = norm.isf(FALSE_ALARM / 2) * np.sqrt(limit * (1 - limit) / R)
    assert abs((values <= 0.05).mean() - limit) < noise + 0.015 < 0.1


def test_H8_a_writer_that_does_not_learn_is_not_seen():
    rng, R = np.random.default_rng(21), 4000
    y = rng.multinomial(300, 0.5 * zipf(20) + 0.5 * uniform(20), size=(12, R)) / 300
    hits = int((recover.reuse(y, permutations=99, rng=5) <= 0.05).sum())
    assert binomtest(hits, R, 0.05).pvalue > FALSE_ALARM


# One batch


def scores(kind, size, rng):
    if kind == "heavy":
        return rng.standard_t(4, size)
    return rng.integers(0, 2, size) * 1.0 if kind == "coin" else rng.normal(size=size)


BATCHES = {  # kind, distance of real from written, alpha, (new, real, written)
    "apart": ("normal", 1.0, 0.3, (600, 500, 500)),
    "far apart": ("normal", 20.0, 0.5, (600, 500, 500)),
    "close": ("normal", 0.1, 0.3, (600, 500, 500)),
    "the same": ("normal", 0.0, 0.3, (600, 500, 500)),
    "all real": ("normal", 1.0, 1.0, (600, 500, 500)),
    "all written": ("normal", 1.0, 0.0, (600, 500, 500)),
    "little written": ("normal", 1.0, 0.5, (600, 500, 20)),
    "five each": ("normal", 2.0, 0.5, (5, 5, 5)),
    "heavy tails": ("heavy", 1.0, 0.7, (300, 300, 300)),
    "yes or no": ("coin", 0.3, 0.7, (300, 300, 300)),
    "much": ("normal", 0.3, 0.9, (20_000, 20_000, 20_000)),
}


def batch(name, rng):
    kind, off, alpha, (n, m, s) = BATCHES[name]
    count = rng.binomial(n, alpha)
    if kind == "coin":
        parts = [rng.random(size) < q for size, q in
                 ((count, 0.3 + off), (n - count, 0.3), (m, 0.3 + off), (s, 0.3))]  # fmt: skip
        parts = [part.astype(float) for part in parts]
    else:
        parts = [scores(kind, size, rng) for size in (count, n - count, m, s)]
        parts[0], parts[2] = parts[0] + off, parts[2] + off
    return np.concatenate(parts[:2]), *parts[2:]


@pytest.mark.parametrize("name", BATCHES)
def test_H9_share_of_covers(name):
    """At least .93, false alarm 1e-6; a coverage of .85 would be seen."""
    rng, R, alpha = np.random.default_rng(10), 1500, BATCHES[name][2]
    found = np.array([recover.share_of(*batch(name, rng))[:3] for _ in range(R)])
    hits = int(((found[:, 1] <= alpha) & (alpha <= found[:, 2])).sum())
    assert binomtest(hits, R, 0.93, alternative="less").pvalue > FALSE_ALARM
    assert binomtest(round(0.85 * R), R, 0.93, alternative="less").pvalue < FALSE_ALARM
    if name == "the same":
        assert (found[:, 2] - found[:, 1] == 1).mean() > 0.9
    if name == "apart":
        assert (found[:, 2] - found[:, 1]).max() < 0.5


@given(st.integers(0, 2**32 - 1), st.floats(-2, 2), st.integers(3, 30))
def test_H9_share_of_is_fiellers_set(seed, off, size):
    """Its ends are the least and the largest share on a grid of [0, 1] that fit."""
    rng = np.random.default_rng(seed)
    new, real, written = rng.normal(off / 2, 1, size), rng.normal(off, 1, 9), rng.normal(0, 1, 7)
    a = np.linspace(0, 1, 2001)
    error = new.var(ddof=1) / size + a**2 * real.var(ddof=1) / 9
    error += (1 - a) ** 2 * written.var(ddof=1) / 7
    gap = new.mean() - a * real.mean() - (1 - a) * written.mean()
    fits = a[abs(gap) <= t.ppf(0.975, min(size, 7) - 1) * np.sqrt(error)]
    found = recover.share_of(new, real, written)
    if fits.size:
        assert found.low == pytest.approx(fits.min(), abs=1e-3)
        assert found.high == pytest.approx(fits.max(), abs=1e-3)
    else:
        assert found.high - found.low < 1e-3


def test_share_of_does_not_ask_for_a_scale():
    new, real, written = batch("apart", np.random.default_rng(11))
    plain = recover.share_of(new, real, written)
    for size, shift in ((1e200, 0.0), (1e-200, 0.0), (-3.0, 5.0), (1.0, 1e6)):
        other = recover.share_of(*(size * part + shift for part in (new, real, written)))
        np.testing.assert_allclose(other[:3], plain[:3], rtol=1e-6)


def test_share_of_what_is_no_mixture():
    rng = np.random.default_rng(12)
    real, written = rng.normal(1, 1, 500), rng.normal(0, 1, 500)
    with pytest.warns(RuntimeWarning, match="new must be a mixture"):
        assert recover.share_of(rng.normal(3, 1, 500), real, written)[:3] == (1, 1, 1)
    with pytest.warns(RuntimeWarning, match="new must be a mixture"):
        assert recover.share_of(np.ones(5), np.zeros(5), np.zeros(6))[1:3] == (0, 1)
    nothing = recover.share_of(np.ones(5), np.ones(5), np.ones(6))
    assert nothing[1:3] == (0, 1) and "nothing" in str(nothing)


# Scores, and documents split into folds


def documents(rng, p, count, length=12):
    return rng.multinomial(length, p, size=count)


def test_H9_score_is_near_the_best():
    """Of tokens: the variance of the share is at most 12% above the best one, for .2 to .8."""
    p, x = zipf(30), zipf(30)[::-1]
    rng = np.random.default_rng(13)
    f = recover.score(rng.multinomial(10**7, p), rng.multinomial(10**7, x))
    np.testing.assert_allclose(f, (p - x) / (p + x), atol=1e-2)

    def variance(f, a):
        q = a * p + (1 - a) * x
        return (q @ f**2 - (q @ f) ** 2) / ((p - x) @ f) ** 2

    for a in (0.2, 0.5, 0.8):
        assert variance(f, a) < 1.12 * variance((p - x) / (a * p + (1 - a) * x), a)
        assert variance(f, a) < variance(np.sign(p - x), a)


@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.floats(0.02, 0.98))
def test_H9_no_score_is_better_and_this_one_is_near(seed, K, a):
    """Variance times information: 1 for the best score, at most 1 / (4 a (1 - a)) for ours."""
    rng = np.random.default_rng(seed)
    P, X, other = rng.dirichlet(np.full(K, 0.5), 3) + 1e-9
    P, X = P / P.sum(), X / X.sum()
    Q = a * P + (1 - a) * X
    information = ((P - X) ** 2 / Q).sum()

    def loss(f):
        assert a * ((P - X) @ f) == pytest.approx((Q - X) @ f, abs=1e-12)  # identification
        return (Q @ f**2 - (Q @ f) ** 2) / ((P - X) @ f) ** 2 * information

    assert loss((P - X) / Q) == pytest.approx(1)
    assert loss((P - X) / (P + X)) <= 1 / (4 * a * (1 - a)) * (1 + 1e-9)
    assert loss((P - X) / (P + X)) >= 1 - 1e-9 and loss(other) >= 1 - 1e-9


def test_score_takes_documents_and_sparse_ones():
    rng = np.random.default_rng(14)
    real, written = documents(rng, zipf(9), 20), documents(rng, uniform(9), 30)
    plain = recover.score(real.sum(axis=0), written.sum(axis=0))
    np.testing.assert_allclose(recover.score(real, written), plain)
    np.testing.assert_allclose(
        recover.score(sparse.csr_array(real), sparse.csc_array(written)), plain
    )
    assert recover.score([3, 0], [3, 0])[1] == 0


def test_H9_score_of_occurrences_is_near_the_best():
    """(P - X)/(P + X) of whole documents, absent tokens included; unseen ones say nothing."""
    p, x, rng = (
        np.array([0.5, 0.2, 0.9, 0.0]),
        np.array([0.5, 0.4, 0.3, 0.0]),
        np.random.default_rng(18),
    )
    real, written = (rng.random((size, 4)) < law for size, law in ((400_000, p), (90_000, x)))
    every = np.array(list(product((0, 1), repeat=3)))
    P, X = (np.prod(np.where(every, law[:3], 1 - law[:3]), axis=1) for law in (p, x))
    rows = np.column_stack([every, np.zeros(8)])
    f = recover._fitted(None, real * 1.0, written * 1.0, True)
    np.testing.assert_allclose(f(rows), (P - X) / (P + X), atol=0.02)
    np.testing.assert_allclose(f(np.where([0, 0, 0, 1], 1, rows)), f(rows), atol=1e-9)

    def variance(f, a):
        q = a * P + (1 - a) * X
        return (q @ f**2 - (q @ f) ** 2) / ((P - X) @ f) ** 2

    counts = recover.score(real.sum(axis=0), written.sum(axis=0))
    words = np.tanh(rows @ np.arctanh(counts))  # what occurs, and not what does not
    assert variance(f(rows), 0.5) < 0.8 * variance(words, 0.5)
    assert variance(f(rows), 0.3) < 1.05 * variance((P - X) / (0.3 * P + 0.7 * X), 0.3)


def classifiers():
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    return {"logistic": LogisticRegression(), "svc": LinearSVC()}


@pytest.mark.parametrize("name", ["counts", "occurrences", "logistic", "svc"])
def test_H9_cross_fit_covers(name):
    """At least .93, false alarm 1e-6; a coverage of .8 would be seen. Dense and sparse agree."""
    rng, R, p, x = np.random.default_rng(15), 400, zipf(40), zipf(40, 0.7)
    hits = 0
    for _ in range(R):
        count = rng.binomial(200, 0.3)
        new = np.concatenate([documents(rng, p, count), documents(rng, x, 200 - count)])
        rows = (new, documents(rng, p, 150), documents(rng, x, 150))
        rows = [np.minimum(part, 1) for part in rows] if name == "occurrences" else rows
        found = recover.cross_fit(*rows, classifier=classifiers().get(name))
        hits += found.low <= 0.3 <= found.high
    assert binomtest(hits, R, 0.93, alternative="less").pvalue > FALSE_ALARM
    assert binomtest(round(0.8 * R), R, 0.93, alternative="less").pvalue < FALSE_ALARM
    thin = recover.cross_fit(*map(sparse.csr_array, rows), classifier=classifiers().get(name))
    np.testing.assert_allclose(thin[:3], found[:3], rtol=1e-6)


def test_H9_reading_twice_undercovers():
    """The same documents make the score and are read: seen; in folds they cover, in both scores."""
    rng, R, p = np.random.default_rng(16), 200, zipf(400)
    hits, apart = 0, np.zeros(2, dtype=int)
    for _ in range(R):
        count = rng.binomial(200, 0.3)
        x = zipf(400, 0.9)
        new = np.concatenate([documents(rng, p, count), documents(rng, x, 200 - count)])
        real, written = documents(rng, p, 100), documents(rng, x, 100)
        odds = np.arctanh(recover.score(real, written))
        found = recover.share_of(*(np.tanh(rows @ odds) for rows in (new, real, written)))
        hits += found.low <= 0.3 <= found.high
        for i, cut in enumerate((99, 1)):  # counts, occurrences
            found = recover.cross_fit(*(np.minimum(rows, cut) for rows in (new, real, written)))
            apart[i] += found.low <= 0.3 <= found.high
    assert binomtest(hits, R, 0.93, alternative="less").pvalue < FALSE_ALARM
    for fine in apart:
        assert binomtest(int(fine), R, 0.93, alternative="less").pvalue > FALSE_ALARM


# The canary


@pytest.mark.parametrize("n", [1, 30, 1000])
@pytest.mark.parametrize("rate", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.9, 1.0])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_H10_canary_covers_by_enumeration(n, rate, alpha):
    """The exact coverage, the sum over all counts, is at least the level; at .5 it is not .95."""
    counts = np.arange(n + 1)
    chance = binom.pmf(counts, n, (1 - alpha) * rate)
    counts, chance = counts[chance > 1e-12], chance[chance > 1e-12]
    for level in (0.5, 0.95):
        found = [recover.canary(count, n, rate, level=level) for count in counts]
        inside = np.array([part.low - 1e-12 <= alpha <= part.high + 1e-12 for part in found])
        assert chance @ inside >= level - 1e-9
        if (n, level, alpha) == (1000, 0.5, 0.2):
            assert chance @ inside < 0.7


def test_H10_a_truth_that_moves_fools_the_history_and_not_the_canary():
    """False alarm 1e-6; .02 off would be seen. The history is off by more than .1."""
    R, K, n, T, alpha, rate = 200, 20, 1000, 60, 0.5, 0.05
    rng, logs = np.random.default_rng(22), np.log(np.tile(zipf(K), (R, 1)))
    y, marks = [], np.zeros(R, dtype=int)
    for step in range(T + 1):
        p = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
        written = rng.binomial(n, (1 - alpha) * (step > 0), size=R)
        y.append(
            (rng.multinomial(n - written, p) + rng.multinomial(written, y[-1] if y else p)) / n
        )
        marks += rng.binomial(written, rate)
        logs = logs + 0.035 * rng.normal(size=logs.shape)
    y = np.array(y)
    found = np.array([recover.canary(int(count), T * n, rate)[:3] for count in marks])
    z = norm.isf(FALSE_ALARM / 2) * found[:, 0].std() / np.sqrt(R)
    assert abs(found[:, 0].mean() - alpha) < z < 0.01
    hits = int(((found[:, 1] <= alpha) & (alpha <= found[:, 2])).sum())
    assert binomtest(hits, R, 0.95, alternative="less").pvalue > FALSE_ALARM
    assert recover.share(y, y[:-1], n).value.mean() < 0.4


def test_canary_seen_too_often():
    with pytest.warns(RuntimeWarning, match="rate must be that of the mark"):
        assert recover.canary(500, 1000, 0.01)[:3] == (0, 0, 0)


def test_H10_design_canary_gives_its_standard_error():
    for alpha, rate, se in ((0.5, 0.01, 0.05), (0.0, 0.2, 0.02), (0.9, 1.0, 0.01)):
        n = design.canary(alpha, se, rate=rate)
        law = binom(n, (1 - alpha) * rate)
        assert (
            law.std() / n / rate
            <= se * (1 + 1e-9)
            < binom(n - 1, law.args[1]).std() / (n - 1) / rate * (1 + 1e-9)
        )
    assert design.canary(1.0, 0.1, rate=0.5) == 1


# The command


def command(*arguments):
    run = [sys.executable, "-W", "error", "-m", "collapse.recover", *map(str, arguments)]
    return subprocess.run(run, capture_output=True, text=True, check=False)


def test_command_on_three_folders(tmp_path):
    rng = np.random.default_rng(17)
    words = np.array(["".join(rng.choice(list("abcdefgh"), 5)) for _ in range(60)])
    p, x = zipf(60), zipf(60, 0.5)
    sets = {"real": [p] * 400, "written": [x] * 400, "new": [p] * 120 + [x] * 280}
    for name, laws in sets.items():
        (tmp_path / name / "deeper").mkdir(parents=True)
        for i, law in enumerate(laws):
            text = " ".join(rng.choice(words, 15, p=law))
            (tmp_path / name / "deeper" / f"{i:03}.txt").write_text(text, encoding="utf-8")
    folders = [part for name in sets for part in (f"--{name}", tmp_path / name)]
    done = command(*folders)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("400 documents") == 3
    *_, value, _, low, _, high = done.stdout.replace(",", "").split()
    assert float(low) <= float(value) <= float(high) and float(low) <= 0.3 <= float(high)
    assert done.stdout == command(*folders).stdout
    letters = command(*folders, "--tokens", "character")  # every document has every letter
    assert "nothing" in letters.stdout.splitlines()[-1]
    (tmp_path / "real" / "copy.txt").write_bytes(
        (tmp_path / "new" / "deeper" / "000.txt").read_bytes()
    )
    assert "1 documents stand in two folders" in command(*folders).stdout
    empty = command("--new", tmp_path / "none", *folders[:4])
    assert empty.returncode == 1 and "--new must be a folder" in empty.stderr
