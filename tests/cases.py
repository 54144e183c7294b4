"""Small plans of every scheme, shared by the tests."""

import numpy as np

import collapse as c

HALF = np.array([0.5, 0.5])
SKEW = np.array([0.5, 0.375, 0.125])

TINY = {  # n <= 4, exact binary shares: enumerated in rational arithmetic
    "mixture": c.mixture([2, 3, 2, 4], [1, 0.5, 0.25, 0.75], 3),
    "stratified": c.mixture(4, 0.25, 2, mixing="stratified"),
    "replace": c.replace([3, 2, 4, 3], 3),
    "accumulate": c.accumulate([2, 3, 2], 2),
    "accumulate with fresh data": c.accumulate(3, 2, alpha=0.25),
    "accumulate, stratified": c.accumulate(2, 2, alpha=0.5, mixing="stratified"),
    "filtered": c.filtered([3, 2, 3, 1], 0.25, 3),
    "filtered, all real": c.filtered(3, 1.0, 2),
    "weighted": c.weighted(4, 0.5, 2, real_weight=0.625),
    "weighted, one side empty": c.weighted(2, [1, 0, 1, 0.5], 3, real_weight=0.75),
    "aware": c.aware([2, 3, 2], 0.5, 2),
    "aware, capped": c.aware([1, 4, 4], [1, 0.75, 0.5], 2),
    "aware, sometimes nothing fresh": c.aware([2, 3, 2], [1, 0, 0.5], 2),
    "a batch that does not count": c.Plan(n=[2, 3, 2], alpha=[1, 0.5, 0.25], gain=[1, 0, 0.5]),
    "anchored": c.anchored([2, 3, 2, 3], [1, 0.5, 0.25, 0], 3),
    "subsampled": c.subsampled([2, 3, 2], 2),
    "subsampled, fresh, shrinking": c.subsampled([3, 1, 2, 1], 3, alpha=0.25),
    "filtered, gain that changes": c.Plan(
        n=[2, 2, 2, 2], alpha=[1, 0.25, 0.25, 0.5], gain=[1, 1, 0.5, 0.5], real_weight=[1] * 4
    ),
    "anchored filter with gain": c.Plan(
        n=[2, 2, 3], alpha=[1, 0.5, 0.25], gain=[1, 0.5, 0.75], real_weight=[1, 1, 1], real="fixed"
    ),
    "anchored, weighted": c.Plan(
        n=[2, 4, 2],
        alpha=[1, 0.5, 0.5],
        real_weight=[1, 0.25, 0.75],
        real="fixed",
        mixing="stratified",
    ),
}

SIMULATED = {  # larger ones, met by simulation
    "mixture": c.mixture(60, 0.2, 12),
    "mixture, growing": c.mixture(lambda t: 40 * 1.2**t, lambda t: 0.8 / t, 12),
    "stratified": c.mixture(60, 0.2, 12, mixing="stratified"),
    "replace": c.replace(60, 12),
    "accumulate": c.accumulate(60, 12),
    "accumulate, stratified": c.accumulate(60, 12, alpha=0.2, mixing="stratified"),
    "filtered": c.filtered(30, 0.05, 12),
    "weighted": c.weighted(60, 0.5, 12, real_weight=0.62),
    "aware": c.aware(60, 0.2, 12),
    "anchored": c.anchored(60, 0.2, 12),
    "subsampled": c.subsampled(60, 12),
    "subsampled, fresh": c.subsampled(lambda t: 40 + 10 * t, 12, alpha=0.2),
}
