"""Speed and memory of `simulate` against other ways to do the same work, as ratios in one run.

`make bench` runs this. Absolute times depend on the machine; ratios of alternating runs do so less.
"""

import statistics
import subprocess
import sys
import time
import tracemalloc

import numpy as np

import collapse
from collapse import Categorical, targets

K, N, T, R, ALPHA = 50, 1000, 200, 100, 0.1
P = targets.zipf(K)


def engine():
    plan = collapse.mixture(N, ALPHA, T)
    collapse.simulate(Categorical(), P, plan, replications=R, rng=1, progress=False)


def bare():
    """The least that draws the same generations and computes the same squared distance."""
    rng = np.random.default_rng(1)
    error = np.empty((T + 1, R))
    theta = rng.multinomial(N, P, size=R) / N
    error[0] = ((theta - P) ** 2).sum(axis=1)
    for t in range(1, T + 1):
        theta = rng.multinomial(N, ALPHA * P + (1 - ALPHA) * theta) / N
        error[t] = ((theta - P) ** 2).sum(axis=1)


def token_by_token(draw):
    """Tokens drawn one replication after the other, as a first script would."""
    rng = np.random.default_rng(1)
    error = np.empty((T + 1, R))
    for r in range(R):
        theta = np.bincount(rng.choice(K, size=N, p=P), minlength=K) / N
        error[0, r] = ((theta - P) ** 2).sum()
        for t in range(1, T + 1):
            theta = np.bincount(draw(rng, theta), minlength=K) / N
            error[t, r] = ((theta - P) ** 2).sum()


def apart(rng, theta):
    """Real tokens from the target, the others from the model: the loop to the letter."""
    n_real = rng.binomial(N, ALPHA)
    real, written = rng.choice(K, size=n_real, p=P), rng.choice(K, size=N - n_real, p=theta)
    return np.concatenate([real, written])


def mixed(rng, theta):
    """All tokens from the mixture, which has the same law and needs one call less."""
    return rng.choice(K, size=N, p=ALPHA * P + (1 - ALPHA) * theta)


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratio(a, b, runs):
    """Median of time(a) / time(b) over alternating runs, after one of each that does not count."""
    a(), b()
    return statistics.median(seconds(a) / seconds(b) for _ in range(runs))


def peak(n, replications):
    """Peak memory of a run beyond what it records, in MiB."""
    plan = collapse.mixture(n, ALPHA, 3)
    tracemalloc.start()
    collapse.simulate(Categorical(), targets.zipf(5000), plan, replications=replications, rng=1)
    high = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return (high - 2 * 8 * 4 * replications) / 2**20  # recorded, and its copy in the Result


def import_seconds():
    """What `import collapse` adds to NumPy's own import: median of nine processes."""
    code = (
        "import time, numpy; start = time.perf_counter(); import collapse; "
        "print(time.perf_counter() - start)"
    )
    out = [subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(9)]
    return statistics.median(map(float, out))


def report(what, value, target, kept=None):
    print(f"{what:62} {value:>9}   {target:>14}   {({True: 'yes', False: 'NO'}).get(kept, '')}")


if __name__ == "__main__":
    print(f"simulate(mixture): K = {K}, n = {N}, T = {T}, {R} replications\n")
    print(f"{'what':62} {'measured':>9}   {'target':>14}   kept")
    value = ratio(engine, bare, 21)
    report("simulate / bare multinomial loop, time", f"{value:.2f}", "at most 1.15", value <= 1.15)
    value = ratio(lambda: token_by_token(apart), engine, 3)
    report(
        "tokens one run after the other / simulate, time", f"{value:.1f}", "at least 8", value >= 8
    )
    value = ratio(lambda: token_by_token(mixed), engine, 3)
    report("the same, drawn from the mixture in one call", f"{value:.1f}", "(no target)")
    value = peak(10**9, 256) / peak(10**2, 256)
    report("memory, n = 10^9 / n = 100", f"{value:.2f}", "about 1", value < 1.1)
    value = peak(100, 4096) / peak(100, 256)
    report(
        "memory, 4096 / 256 replications, without what is recorded",
        f"{value:.2f}",
        "about 1",
        value < 1.1,
    )
    value = import_seconds()
    report("import collapse after numpy, seconds", f"{value:.2f}", "under 0.3", value < 0.3)
