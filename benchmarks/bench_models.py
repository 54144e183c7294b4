"""Sufficient statistics against samples, and a text model on the whole English of Python.

`make bench` runs this.
"""

import resource
import subprocess
import sys
import time

import numpy as np
from bench_engine import report

import collapse
from collapse import Gaussian, NextToken, targets

N, T, R, ALPHA = 100_000, 20, 20, 0.5


def statistics():
    plan = collapse.mixture(N, ALPHA, T)
    collapse.simulate(Gaussian(1), (0.0, 1.0), plan, replications=R, rng=1, progress=False)


def samples():
    """The same loop with every sample drawn, replications side by side."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((R, N))
    for _ in range(T):
        mean, sd = x.mean(axis=1, keepdims=True), x.std(axis=1, keepdims=True)
        real = rng.random((R, N)) < ALPHA
        noise = rng.standard_normal((R, N))
        x = np.where(real, noise, mean + sd * noise)


def seconds(work, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def text(share):
    """A word model of 250,000 tokens a generation, in a process of its own: seconds and memory."""
    text = targets.text()
    plan = collapse.mixture(250_000, share, 20)
    start = time.perf_counter()
    collapse.simulate(
        NextToken(1, unit="tokens"), text, plan, replications=1, rng=1, progress=False
    )
    took = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
    what = f"NextToken(1), 250,000 words, 20 generations, {share:.0%} fresh"
    report(what + ", s", f"{took:.1f}", "under 10", took < 10)
    report("the same, peak memory of the process, GiB", f"{peak:.2f}", "under 1", peak < 1)


def main():
    value = seconds(samples, 3) / seconds(statistics, 5)
    what = f"Gaussian(1), n = {N:,}: every sample drawn / simulate, time"
    report(what, f"{value:.0f}", "at least 100", value >= 100)
    sys.stdout.flush()
    for share in (0.0, 0.5):
        subprocess.run([sys.executable, __file__, str(share)], check=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        text(float(sys.argv[1]))
    else:
        main()
