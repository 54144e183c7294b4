"""The figure at the top of README.md: `python book/readme_figure.py` writes it anew.

The Welcome chapter draws the same three loops on real words. Here the target is Zipf's law, so
that the picture is the same on every machine and a test can hold the committed file to the code.
"""

from pathlib import Path

import matplotlib.pyplot as plt

import collapse
from collapse import book, exact, plot, targets

FILE = Path(__file__).parent / "_static" / "three-loops.png"
SEED, T = 8000, 400


def draw(path):
    """Three loops, simulated and exact, as a PNG at `path`."""
    book.style()
    p = targets.zipf(500)
    plans = {
        "no fresh data:\ncollapse": collapse.replace(200, T),
        "10% fresh:\nplateau": collapse.mixture(200, 0.1, T),
        "10% fresh, samples\ngrow: recovery": collapse.mixture(lambda t: 200 + 20 * t, 0.1, T),
    }
    fig, ax = plt.subplots(figsize=(7.6, 4))
    for i, (name, plan) in enumerate(plans.items()):
        run = collapse.simulate(collapse.Categorical(), p, plan, replications=60, rng=SEED + i)
        rho = exact.inflation(plan)
        plot.simulated(run.values["l2"] / exact.heterozygosity(p), ax=ax)
        plot.theory(rho, ax=ax)
        plot.label(name, T, rho[-1], color=ax.lines[-2].get_color(), ax=ax)
    plot.level(1 / 200, ax=ax)
    ax.set(yscale="log", xlabel="generation", ylabel="error of the model", xlim=(0, T))
    fig.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(fig)


if __name__ == "__main__":
    draw(FILE)
    print(f"wrote {FILE}")
