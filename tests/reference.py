"""The loop in rational arithmetic: the whole law of small cases, by enumeration. No luck involved.

Slow and plain on purpose: written from the definition of each scheme, not from the formulas that
it checks.
"""

from collections import defaultdict
from fractions import Fraction
from itertools import product
from math import comb, factorial, prod


def counts_law(n, q):
    """{counts: probability} of n draws from q."""
    law = {}
    for counts in product(range(n + 1), repeat=len(q)):
        if sum(counts) == n:
            ways = Fraction(factorial(n), prod(factorial(c) for c in counts))
            law[counts] = ways * prod(x**c for x, c in zip(q, counts, strict=True))
    return {counts: chance for counts, chance in law.items() if chance}


def blend(a, b, share):
    return tuple((1 - share) * x + share * y for x, y in zip(a, b, strict=True))


def batch_law(plan, t, target, model):
    """{estimate from the batch alone: probability}; None stands for a batch without weight."""
    n, alpha = int(plan.n[t]), Fraction(float(plan.alpha[t]))
    law = defaultdict(Fraction)
    if plan.mixing == "stratified":
        reals = {round(alpha * n): Fraction(1)}
    else:
        reals = {r: comb(n, r) * alpha**r * (1 - alpha) ** (n - r) for r in range(n + 1)}
    for r, chance in reals.items():
        if not chance:
            continue
        v = Fraction(r, n) if plan.real_weight is None else Fraction(float(plan.real_weight[t]))
        for real, p_real in counts_law(r, target).items():
            for fake, p_fake in counts_law(n - r, model).items():
                weights = (v if r else 0, 1 - v if r < n else 0)
                total = sum(weights)
                sides = [
                    [Fraction(c, max(m, 1)) for c in side] for side, m in ((real, r), (fake, n - r))
                ]
                y = None
                if total:
                    y = tuple(
                        (weights[0] * a + weights[1] * b) / total
                        for a, b in zip(*sides, strict=True)
                    )
                law[y] += chance * p_real * p_fake
    return law


def subsample_law(pool, total, n):
    """{frequencies: probability} of n draws without replacement from `total` samples."""
    counts, law = [round(x * total) for x in pool], {}
    for drawn in product(range(n + 1), repeat=len(pool)):
        if sum(drawn) == n:
            ways = prod(comb(c, d) for c, d in zip(counts, drawn, strict=True))
            if ways:
                law[tuple(Fraction(d, n) for d in drawn)] = Fraction(ways, comb(total, n))
    return law


def joint_law(p, plan):
    """For t = 0..T, {(phat_0, phat_1, phat_t): probability}; phat_1 is None at t = 0."""
    p, n = tuple(Fraction(x) for x in p), [int(m) for m in plan.n]
    law = {(y, None, y, y): chance for y, chance in batch_law(plan, 0, p, p).items()}
    yield {(first, second, model): chance for (first, second, _, model), chance in law.items()}
    for t in range(1, plan.n.size):
        new, seen = defaultdict(Fraction), defaultdict(Fraction)
        # exact where the gain is n_t / S_t, which floats only round
        w = Fraction(n[t], sum(n[: t + 1])) if plan.subsample else Fraction(float(plan.gain[t]))
        for (first, second, pool, model), chance in law.items():
            target = first if plan.real == "fixed" else p
            for y, step in batch_law(plan, t, target, model).items():
                data = pool if y is None else blend(pool, y, w)
                fits = {data: Fraction(1)}
                if plan.subsample:
                    fits = subsample_law(data, sum(n[: t + 1]), n[t])
                for fit, part in fits.items():
                    new[first, fit if t == 1 else second, data, fit] += chance * step * part
        for (first, second, _, model), chance in new.items():
            seen[first, second, model] += chance
        law = new
        yield seen


def mean(law, statistic):
    return sum(chance * statistic(state) for state, chance in law.items())
