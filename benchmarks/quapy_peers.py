"""QuaPy on the texts of the chapter *One batch, one answer*: what book/data/quapy.json records.

QuaPy brings pandas and more, and is no requirement of the book. In an environment of its own:

    pip install quapy==0.2.3 joblib tqdm
    PYTHONPATH=. python benchmarks/quapy_peers.py book/data/quapy.json 48

Documents, batches and seeds are those of the chapter: the first 48 of its repetitions.
"""

import hashlib
import json
import platform
import sys
import warnings

import numpy as np
import sklearn
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from collapse import NextToken, recover, targets

SEED = 31_000  # of the chapter
SIZES = {"small": (600, 500, 500), "large": (4000, 2000, 2000)}
SHARES = (0.1, 0.5, 0.9)
SAMPLES = 200  # of a bootstrap


def texts():
    """Real documents held out, and the writer's, as the chapter makes them: rows of 0 and 1."""
    english = targets.text()
    documents = np.split(english.stream, np.flatnonzero(english.stream == 0)[:-1] + 1)
    documents = list({d.tobytes(): d[:-1] for d in documents if 9 <= d.size <= 61}.values())
    np.random.default_rng(SEED).shuffle(documents)
    stream = np.concatenate([[*d, 0] for d in documents[:3000]])
    writer = NextToken()
    theta = writer.read(targets.Text(english.tokens, stream, "what the writer read"))
    own = [d for d in writer.write(theta, 30_000, rng=SEED + 1) if 8 <= len(d) <= 60]
    return occurring(documents[3000:]), occurring(own), english.source


def occurring(documents):
    words = [np.unique(d) for d in documents]
    ends = np.cumsum([0, *map(len, words)])
    columns = np.concatenate(words)
    return sparse.csr_array((np.ones(columns.size), columns, ends))


def batch(real, own, share, sizes, seed):
    """New, held-out and written rows of one repetition."""
    (n, m, s), rng = sizes, np.random.default_rng([SEED, *seed])
    count = rng.binomial(n, share)
    i = rng.choice(real.shape[0], count + m, replace=False)
    j = rng.choice(own.shape[0], n - count + s, replace=False)
    new = sparse.vstack([real[i[:count]], own[j[: n - count]]]).tocsr()
    return new, real[i[count:]], own[j[n - count :]]


def methods():
    import quapy as qp
    from quapy.method.aggregative import EMQ, PACC
    from quapy.method.confidence import AggregativeBootstrap

    def quapy(make):
        def answer(new, real, own):
            x = sparse.csr_matrix(sparse.vstack([real, own]))
            y = np.repeat([1, 0], [real.shape[0], own.shape[0]])
            found = AggregativeBootstrap(make(), n_test_samples=SAMPLES, random_state=1)
            value, region = found.fit(x, y).predict_conf(sparse.csr_matrix(new))
            return value[1], region.I_low[1], region.I_high[1]

        return answer

    return qp.__version__, {
        "PACC": quapy(lambda: PACC(LogisticRegression())),
        "EMQ": quapy(lambda: EMQ(LogisticRegression())),
        "EMQ, calibrated": quapy(lambda: EMQ.EMQ_BCTS(LogisticRegression())),
        "logistic, cross-fitted": lambda *rows: recover.cross_fit(
            *rows, classifier=LogisticRegression()
        )[:3],
    }


def main(path, repetitions):
    warnings.simplefilter("ignore")
    real, own, source = texts()
    width = max(real.shape[1], own.shape[1])
    for rows in (real, own):
        rows.resize(rows.shape[0], width)
    version, answers = methods()
    made = {
        "quapy": version, "scikit-learn": sklearn.__version__, "numpy": np.__version__,
        "python": platform.python_version(), "text": source,
        "digest": hashlib.sha256(real.indices.tobytes() + own.indices.tobytes()).hexdigest()[:16],
        "bootstrap": f"AggregativeBootstrap, of the new batch alone, {SAMPLES} samples",
        "sizes": SIZES, "shares": SHARES, "found": {},
    }  # fmt: skip
    for size, sizes in SIZES.items():
        R = repetitions if size == "small" else repetitions // 4
        for k, share in enumerate(SHARES):
            for r in range(R):
                rows = batch(real, own, share, sizes, (k, r))
                for name, answer in answers.items():
                    if size == "large" and name.startswith("logistic"):
                        continue
                    row = [round(float(x), 4) for x in answer(*rows)]
                    made["found"].setdefault(size, {}).setdefault(name, {}).setdefault(
                        str(share), []
                    ).append(row)
            for name, rows in made["found"][size].items():
                v, low, high = np.array(rows[str(share)]).T
                print(
                    size, share, f"{name:24} {v.mean():.3f}",
                    f"error {np.sqrt(((v - share) ** 2).mean()):.3f}",
                    f"coverage {((low <= share) & (share <= high)).mean():.2f}", flush=True,
                )  # fmt: skip
        with open(path, "w", encoding="utf-8") as file:
            json.dump(made, file, separators=(",", ":"))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
