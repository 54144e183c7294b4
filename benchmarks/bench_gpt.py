"""Training a small GPT: R replications together or one after another, by R, in tokens a second.

`make bench` runs this; without the extra `gpt` it says so. On an accelerator it also gives the
share of peak FLOP/s, if the peak is named: `GPT_PEAK=1e15 python benchmarks/bench_gpt.py`. A token
costs 6 x parameters FLOP in training (two a parameter forward, four back), and 12 x layers x width
x context more for attention.
"""

import os
import sys
import time
from dataclasses import replace

import numpy as np

try:
    import jax

    from collapse.experiments.gpt import CONFIGS
    from collapse.models.gpt import GPT
except ImportError as error:
    print(f'{error.name} is missing: pip install -e ".[gpt]"')
    sys.exit()


def rate(config, documents, R, together):
    """Tokens a second of training R replications, compilation left out."""
    model, rng = GPT(config, together=together), np.random.default_rng(1)
    x = rng.integers(1, config.vocabulary, (R, documents, config.context + 1), dtype=np.int32)
    data = model.documents(x, np.full(R, documents), rng)
    jax.block_until_ready(model.fit(data))
    start = time.perf_counter()
    jax.block_until_ready(model.fit(data))
    return R * documents * config.context / (time.perf_counter() - start)


def main():
    cpu = jax.local_devices()[0].platform == "cpu"
    name, documents = ("small", 512) if cpu else ("paper", 1024)
    config = replace(CONFIGS[name], epochs=1)
    devices = jax.local_devices()
    print(f"GPT, {name} configuration, {len(devices)} x {devices[0].device_kind}: training "
          "tokens a second")  # fmt: skip
    print(f"{'R':>4} {'one by one':>12} {'together':>12}   together / one by one")
    for R in (1, 2, 4, 8):
        alone, both = rate(config, documents, R, False), rate(config, documents, R, True)
        print(f"{R:4d} {alone:12,.0f} {both:12,.0f}   {both / alone:.2f}")
    if peak := float(os.environ.get("GPT_PEAK", "0")):
        flop = 6 * GPT(config).count() + 12 * config.layers * config.width * config.context
        print(f"share of peak: {max(alone, both) * flop / peak:.1%}")


if __name__ == "__main__":
    main()
