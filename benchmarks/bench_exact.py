"""Exact results: seconds where the book promises some, and ratios to other ways to the same number.

`make bench` runs this.
"""

import time

import numpy as np
from bench_engine import report

import collapse
from collapse import exact, targets
from collapse._lineage import _apply, _ladder


def seconds(work):
    start = time.perf_counter()
    value = work()
    return time.perf_counter() - start, value


def dense(plan):
    """The laws of the founders by plain products of whole matrices."""
    lines = np.eye(plan.n[0] + 1)
    parents = _ladder(np.arange(plan.n[0] + 1) / plan.n[0], plan.n[0])
    for _ in range(plan.generations):
        lines = parents @ lines
    return lines[-1]


def banded(plan):
    lines = np.eye(plan.n[0] + 1)
    parents = _ladder(np.arange(plan.n[0] + 1) / plan.n[0], plan.n[0])
    for _ in range(plan.generations):
        lines = _apply(parents, lines)
    return lines[-1]


if __name__ == "__main__":
    print("exact results\n")
    print(f"{'what':62} {'measured':>9}   {'target':>14}   kept")
    T = 10**6
    plans = {
        "mixture": collapse.mixture(collapse.power(100, 0.5), collapse.power(1, -0.3), T),
        "aware": collapse.aware(100, 0.1, T),
        "subsampled": collapse.subsampled(100, T, alpha=0.1),
        "filtered": collapse.filtered(collapse.power(10, 0.5), 0.1, T),
    }
    for name, plan in plans.items():
        value, _ = seconds(lambda plan=plan: exact.inflation(plan))
        report(f"inflation, {name}, T = 10^6, seconds", f"{value:.2f}", "under 2", value < 2)
    p, plan = targets.zipf(50_000), collapse.mixture(1000, 0.1, 200)
    all_tokens, share = seconds(lambda: exact.coverage(p, plan))
    report(
        "coverage, 50,000 tokens, n = 1000, T = 200, seconds",
        f"{all_tokens:.1f}",
        "under 30",
        all_tokens < 30,
    )
    some = p[::5000]
    each, laws = seconds(lambda: [[law[0] for law in exact.token_law(x, plan)] for x in some])
    lost = [exact.missing(p, plan)[::5000], [law[-1] for law in laws]]
    np.testing.assert_allclose(*lost, rtol=1e-8)
    report(
        "the same token by token, by its own chain / coverage",
        f"{each / some.size * p.size / all_tokens:.0f}",
        "(no target)",
    )
    plan = collapse.replace(1500, 10)
    (slow, a), (fast, b) = seconds(lambda: dense(plan)), seconds(lambda: banded(plan))
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-30)
    report("founders: whole matrices / blocks", f"{slow / fast:.1f}", "(no target)")
