"""A small GPT retrained on its own writing: the settings, the measures, one run from end to end.

``python -m collapse.experiments.gpt --config small --out results.json [--resume]``

Every generation is kept in a checkpoint beside the results, written whole or not at all; an
interrupted run resumes to the same numbers on the same machine.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import platform
import re
import signal
import sys
import time
import zipfile
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

import collapse
from collapse import _check, exact, targets
from collapse.engine import generations
from collapse.experiments import corpus as corpora

try:
    import equinox
    import jax
    import optax
    import tokenizers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from collapse.models.gpt import GPT, Config, Documents
except ImportError as error:
    raise ImportError(
        f'{error.name} is missing: pip install -e ".[gpt]"', name=error.name
    ) from error

__all__ = [
    "CONFIGS", "Corpus", "Fresh", "Run", "documents_needed", "measure", "near_duplicates", "plans",
    "read", "run",
]  # fmt: skip

END = "<end>"


# Real text


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents as rows of tokens: to learn from, to choose a configuration by, and held out.

    Parameters
    ----------
    train, validation, held_out : (D, context + 1) int32
        The end mark 0, the tokens, the end mark again, then -1; no document is in two of them.
    held_out_bytes : int
    tokenizer
        Byte-pair encoding learned from the training documents alone.
    source : str
    rare : (k,) token ids
        Tokens that some, but fewer than one in a hundred, training documents hold.
    """

    train: np.ndarray
    validation: np.ndarray
    held_out: np.ndarray
    held_out_bytes: int
    tokenizer: object
    source: str
    rare: np.ndarray

    def decode(self, row):
        """A row of tokens as text."""
        return self.tokenizer.decode([int(token) for token in row if token > 0])

    def digest(self):
        """What tells this text, its tokens and its parts from all others."""
        parts = (self.train, self.validation, self.held_out)
        words = self.tokenizer.to_str().encode()
        return hashlib.sha256(words + b"".join(part.tobytes() for part in parts)).hexdigest()


def read(vocabulary, context, *, files=None, held_out=500, rng=None):
    """Real documents: different paragraphs of at least three words that fit into `context` tokens.

    Parameters
    ----------
    vocabulary : int, at least 257
        Tokens: the end mark, 256 bytes and pairs learned from the training text, which must have
        so many.
    context : int
        Longest document with its end mark; longer ones are left out.
    files : path of a folder of .txt files, optional
        By default the English that ships with every CPython. A folder that
        `collapse.experiments.corpus` wrote keeps its three parts.
    held_out : int
        Documents never trained on; of a text in one part the rest of a quarter is for validation.
    rng : None, seed or numpy.random.Generator
        Which documents are held out.
    """
    vocabulary = _check.whole("vocabulary", vocabulary, least=257)
    learn, rest, validation, source = _parts(files, held_out, _check.generator(rng))
    bytes_ = pre_tokenizers.ByteLevel
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = (
        bytes_(add_prefix_space=False),
        decoders.ByteLevel(),
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[END], initial_alphabet=bytes_.alphabet(),
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(learn, trainer)
    tokenizer.encode_special_tokens = True  # a text that says <end> does not end there
    if tokenizer.get_vocab_size() < vocabulary:
        raise ValueError(
            f"vocabulary must be at most the {tokenizer.get_vocab_size()} tokens that {source} has "
            f"pairs for, found {vocabulary}"
        )
    fits = [text for text in rest if len(tokenizer.encode(text).ids) < context]
    if len(fits) < held_out:
        raise ValueError(
            f"held_out must be at most the {len(fits)} documents set apart that fit into {context} "
            f"tokens, found {held_out} in {source}"
        )
    if validation is None:
        validation = fits[held_out:]
    train, validation, held = (
        _rows(tokenizer, texts, context) for texts in (learn, validation, fits[:held_out])
    )
    bytes_held = sum(len(text.encode()) for text in fits[:held_out])
    return Corpus(train, validation, held, bytes_held, tokenizer, source, _rare(train))


def _parts(files, held_out, rng):
    """Texts to learn from, texts to hold out of, those for validation or None, and their source."""
    if files is not None and all((Path(files) / part).is_dir() for part in corpora.PARTS):
        learn, validation, rest = (_folder(Path(files) / part)[0] for part in corpora.PARTS)
        numbers = ", ".join(
            f"{len(list((Path(files) / part).glob('*.txt')))} {part.replace('_', ' ')}"
            for part in corpora.PARTS
        )
        order = rng.permutation(len(rest))
        return learn, [rest[i] for i in order], validation, f"docstrings of packages: {numbers}"
    paragraphs, source = _folder(files)
    order = rng.permutation(len(paragraphs))
    if len(paragraphs) < 4 * held_out:
        raise ValueError(
            f"held_out must leave three quarters of the documents to learn from, found {held_out} "
            f"of {len(paragraphs)} in {source}"
        )
    share = len(paragraphs) // 4  # enough to find held-out documents that fit, and to spare
    rest, learn = ([paragraphs[i] for i in part] for part in (order[:share], order[share:]))
    return learn, rest, None, source


def _folder(files):
    """Different paragraphs of a folder of .txt files, or of Python's English; the source."""
    if files is not None:
        folder = Path(files)
        files = sorted(folder.glob("*.txt"))
        if not files:
            raise ValueError(f"files must be a folder of .txt files, found none in {folder}")
    paragraphs, source = targets.paragraphs(files)
    return list(dict.fromkeys(paragraphs)), source  # Python says some things twice


def _rare(rows):
    holds = Counter(token for row in rows for token in set(row[row > 0].tolist()))
    return np.array(sorted(t for t, number in holds.items() if number < len(rows) / 100))


def _rows(tokenizer, texts, context):
    """Those texts that fit, as rows of tokens."""
    coded = [code.ids for code in tokenizer.encode_batch(texts)]
    coded = [ids for ids in coded if len(ids) < context]
    rows = np.full((len(coded), context + 1), -1, dtype=np.int32)
    for row, ids in zip(rows, coded, strict=True):
        row[: len(ids) + 2] = [0, *ids, 0]
    rows.setflags(write=False)
    return rows


def near_duplicates(corpus):
    """Which held-out documents nearly stand in the training text: (D,) of bool.

    In words alone (no case, digits or punctuation) equal to a training document, or with at least
    half of their different runs of five words in a single one. They are counted, not removed.
    """
    train, held = (
        [re.findall(r"[^\W\d_]+", corpus.decode(row).casefold()) for row in rows]
        for rows in (corpus.train, corpus.held_out)
    )
    same, holders = set(map(tuple, train)), defaultdict(set)
    for i, words in enumerate(train):
        for run in _runs(words):
            holders[run].add(i)

    def near(words):
        shared = Counter(i for run in _runs(words) for i in holders.get(run, ()))
        return tuple(words) in same or 2 * max(shared.values(), default=-1) >= len(_runs(words))

    return np.array([near(words) for words in held])


def _runs(words):
    return set(zip(*(words[k:] for k in range(5)), strict=False))


class Fresh:
    """A target with a state: real documents without replacement.

    `start(R, rng)` gives every replication an order of its own and returns what has `sample`.

    Parameters
    ----------
    model : GPT
    corpus : Corpus
    plan : Plan
        Refused where it may need more documents than there are.
    """

    def __init__(self, model, corpus, plan):
        need, there = documents_needed(plan), len(corpus.train)
        if need > there:
            raise ValueError(
                f"plan must need at most the {there} real documents there are, found one that "
                f"needs {need}: take a smaller n or fewer generations, or give more text"
            )
        self.model, self.rows = model, corpus.train

    def start(self, R, rng):
        """The documents of R replications, none of them used yet."""
        order = np.array([rng.permutation(len(self.rows)) for _ in range(R)])
        return _Started(self.model, self.rows, order)


class _Started:
    def __init__(self, model, rows, order):
        self.model, self.rows, self.order = model, rows, order
        self.used = np.zeros(len(order), dtype=np.int64)

    def start(self, R, rng):
        """Itself, as an iterator is: so a loop goes on where a checkpoint was made."""
        if len(self.used) != R:
            raise ValueError(f"replications must be the {len(self.used)} started, found {R}")
        return self

    def sample(self, n, rng):
        take = self.used[:, None] + np.arange(int(n.max()))
        self.used = self.used + n
        last = self.rows.shape[0] - 1  # padding beyond n carries no weight
        if self.used.max() > last + 1:
            raise ValueError(
                f"n must leave no replication without fresh documents, found {self.used.max()} in "
                f"all of {last + 1}"
            )
        return self.model.documents(
            self.rows[np.take_along_axis(self.order, np.minimum(take, last), axis=1)], n, rng
        )


def documents_needed(plan):
    """Real documents that a plan takes: exactly if stratified, but for one run in 10^9 if not."""
    if plan.mixing == "stratified":
        return int(np.rint(plan.n * plan.alpha).sum())
    from scipy.stats import binom

    return int(binom.isf(1e-9 / plan.n.size, plan.n, plan.alpha).sum())


# What is run


@dataclass(frozen=True)
class Run(Config):
    """One configuration of the experiment: the model, the loop, and how often.

    Parameters
    ----------
    vocabulary, context, layers, heads, width, batch, epochs, rate
        As in `collapse.models.gpt.Config`.
    documents : int
        n_0, and n_t of the settings whose size is constant; even.
    generations : int
    splits : int
        Replications, each with its own order of the real documents.
    settings : tuple of str
        Names from `plans`.
    """

    vocabulary: int = 512
    batch: int = 16
    epochs: int = 6
    rate: float = 1e-2
    documents: int = 256
    generations: int = 5
    splits: int = 8
    settings: tuple = ("replace", "mixture", "real only")

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "settings", tuple(self.settings))


ALL = ("replace", "mixture", "mixture, share falls", "mixture, n grows", "accumulate",
       "real only", "real only, half")  # fmt: skip
CONFIGS = {
    "tiny": Run(width=16, documents=32, generations=2, splits=2, epochs=1),
    "small": Run(),
    "laptop": Run(
        vocabulary=1024, layers=2, heads=4, width=64, rate=5e-3,
        documents=500, generations=10, splits=8, settings=ALL,
    ),
    "paper": Run(
        vocabulary=8192, context=128, layers=4, heads=4, width=256, batch=32, epochs=8, rate=3e-4,
        documents=800, generations=10, splits=10, settings=ALL,
    ),
}  # fmt: skip


def plans(n, generations):
    """The settings: name -> Plan. Counts of real documents are fixed (stratified)."""

    def half(t):
        return 0.5

    def falling(t):  # 1/2, 1/4, 1/6, ... rounded to whole documents
        return np.floor(n / (2 * t)) / n

    def mixture(size, share):
        return collapse.mixture(size, share, generations, mixing="stratified")

    return {
        "replace": collapse.replace(n, generations),
        "mixture": mixture(n, half),
        "mixture, share falls": mixture(n, falling),
        "mixture, n grows": mixture(lambda t: n + t * (n // 4) // 2 * 2, half),
        "accumulate": collapse.accumulate(n, generations),
        "real only": mixture(n, lambda t: 1.0),
        "real only, half": mixture(lambda t: n if t == 0 else n // 2, lambda t: 1.0),
    }


# What is measured


def written(rows):
    """Statistics of what a model writes: rows (R, N, context + 1) -> dict of (R,) numbers."""
    tokens = rows[..., 1:]
    grams = {name: [] for name in ("distinct pairs", "repetition", "length")}
    for own in tokens:
        documents = [row[row > 0].tolist() for row in own]
        triples = [t for d in documents for t in zip(d, d[1:], d[2:], strict=False)]
        pairs = {pair for d in documents for pair in pairwise(d)}
        grams["distinct pairs"].append(len(pairs))
        grams["repetition"].append(1 - len(set(triples)) / len(triples) if triples else 0.0)
        grams["length"].append(np.mean([len(d) for d in documents]))
    return {name: np.array(values, dtype=float) for name, values in grams.items()}


# One run


def run(name, config, out, *, files=None, seed=2026, resume=False, stop_after=None, quiet=False):
    """Run all settings of a configuration, write the results to `out` and return them.

    Parameters
    ----------
    name : str
        Of the configuration, for the record.
    config : Run
    out : path of a .json file
        A checkpoint stands beside it until the end.
    files : path of a folder of .txt files, optional
    seed : int
    resume : bool
        Go on from the checkpoint.
    stop_after : int, optional
        Raise KeyboardInterrupt after so many generations, as if interrupted.
    quiet : bool
        No progress.
    """
    seed = _check.whole("seed", seed, least=0)
    place = Checkpoint(out, resume)
    corpus = read(config.vocabulary, config.context, files=files, rng=[seed, 0])
    place.what = {"config": asdict(config), "seed": seed, "text": corpus.digest(), **versions()}
    model = GPT(config)
    loops = []  # all of them before the first is run: a plan without enough text is not begun
    for setting in config.settings:
        plan = plans(config.documents, config.generations)[setting]
        rng = np.random.default_rng([seed, 1])  # every setting starts from the same generation 0
        loops.append((setting, plan, Fresh(model, corpus, plan).start(config.splits, rng), rng))
    trained = [_trained_on(plan) for _, plan, _, _ in loops]
    per_document = corpus.train.shape[1] - 1  # tokens, padding included: what is computed
    clock = Clock(config.splits * config.epochs * per_document, trained, quiet)
    records, start = place.load(model, loops)
    steps = sum(len(record["generations"]) for record in records)
    for i, (setting, plan, target, rng) in enumerate(loops):
        if i == len(records):
            records.append({"setting": setting, "n": plan.n.tolist(), "alpha": plan.alpha.tolist(),
                            "rho": exact.inflation(plan).tolist(), "generations": []})  # fmt: skip
        record = records[i]["generations"]
        if len(record) > config.generations:
            continue
        loop = generations(model, [target] * plan.n.size, plan, config.splits, rng, start)
        start = None
        for t, theta, data in loop:
            record.append(measure(model, corpus, theta, np.random.default_rng([seed, 2, t])))
            place.save(records, i, t, theta, data, rng, target)
            clock.tick(i, t, setting, record[-1])
            steps += 1
            if steps == stop_after:
                raise KeyboardInterrupt
    result = {"name": name, "config": asdict(config), "parameters": model.count(),
              "settings": records, **provenance(corpus, seed, place.seconds())}  # fmt: skip
    place.finish(result)
    return result


def _trained_on(plan):
    """Documents that each generation's training reads."""
    return np.cumsum(plan.n) if (plan.gain[1:] < 1).any() else plan.n


def measure(model, corpus, theta, rng):
    """Held-out loss and what the model writes; lists with one number a replication."""
    held, number = corpus.held_out, 200
    R = len(theta.norm)
    lost = model.bits(theta, held)
    text = model.sample(theta, np.full(R, number), rng).x
    found = {"bits per byte": lost / corpus.held_out_bytes,
             "perplexity": 2 ** (lost / (held[:, 1:] >= 0).sum()),
             "rare tokens": np.array([_coverage(corpus.rare, x) for x in text]),
             **written(text)}  # fmt: skip
    found = {name: np.asarray(value, dtype=float).tolist() for name, value in found.items()}
    return found | {"text": [corpus.decode(row) for row in text[0][:6]]}


def _coverage(tokens, x):
    return np.isin(tokens, x).mean() if tokens.size else 1.0


def provenance(corpus, seed, seconds):
    """Where and how numbers were made."""
    device = jax.local_devices()[0]
    return {
        "corpus": corpus.source,
        "documents": {
            "train": len(corpus.train),
            "validation": len(corpus.validation),
            "held out": len(corpus.held_out),
            "near duplicates": int(near_duplicates(corpus).sum()),
        },
        "seed": seed,
        "seconds": round(seconds, 1),
        "device": f"{len(jax.local_devices())} x {device.device_kind}",
        "text": corpus.digest(),
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def versions():
    """Of all that the numbers depend on."""
    used = (collapse, np, jax, equinox, optax, tokenizers)
    return {m.__name__: m.__version__ for m in used} | {"python": platform.python_version()}


class Checkpoint:
    """The state after the last generation, in one file that is whole or not there.

    An .npz archive and, after it, the SHA-256 of its bytes. A draft that a killed process leaves
    has a fixed name: the next run to the same place writes over it.
    """

    def __init__(self, out, resume):
        self.before, self.began, self.what = 0.0, time.time(), None
        given, out = out, Path(out)
        if out.suffix != ".json" or out.is_dir():
            such = out / "results.json" if out.is_dir() else "results.json"
            raise ValueError(f"out must be a .json file, such as {such}, found {str(given)!r}")
        self.out, self.file = out, out.with_suffix(".checkpoint.npz")
        for path in (out, self.file, _draft(out), _draft(self.file)):
            if path.exists() and not path.is_file():
                raise ValueError(
                    f"out must leave {path} free, found a folder, pipe or device there: give "
                    "another --out"
                )
        if not out.parent.is_dir():
            raise FileNotFoundError(f"out must be in a folder that exists, found {str(out)!r}")
        if out.exists():
            raise FileExistsError(f"out must be a new file, found {str(out)!r} with results")
        if self.file.exists() and not resume:
            raise FileExistsError(
                f"{self.file} holds an interrupted run: go on with --resume, or remove it"
            )
        if resume and not self.file.is_file():
            raise FileNotFoundError(f"resume needs the checkpoint {self.file}, found none")
        self._written(self.file, b"").unlink()  # before hours of training

    def seconds(self):
        """Time spent so far, by the runs that were interrupted too."""
        return self.before + time.time() - self.began

    def save(self, records, i, t, theta, data, rng, target):
        arrays = {f"theta{k}": np.asarray(leaf) for k, leaf in enumerate(jax.tree.leaves(theta))}
        arrays |= {f"data{k}": field for k, field in enumerate(data)}
        note = {"what": self.what, "records": records, "at": [i, t],
                "rng": rng.bit_generator.state, "seconds": self.seconds()}  # fmt: skip
        archive = io.BytesIO()
        np.savez(archive, note=json.dumps(note), used=target.used, **arrays)
        content = archive.getvalue()
        os.replace(self._written(self.file, content + _sha(content)), self.file)

    def load(self, model, loops):
        """(records, (t, theta, data) to go on from), with the state of the loop put back."""
        if not self.file.exists():
            return [], None
        try:
            found = self.file.read_bytes()
            if _sha(found[:-32]) != found[-32:]:
                raise ValueError("its content is not what its digest says")
            with np.load(io.BytesIO(found[:-32])) as file:
                held = dict(file)
            note = json.loads(str(held["note"]))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{self.file} must be a checkpoint, found a file that is none or is damaged: "
                "put back a copy, or remove it to begin anew"
            ) from error
        for key, value in json.loads(json.dumps(self.what)).items():
            if note["what"].get(key) != value:
                raise ValueError(
                    f"{key} must be that of {self.file}, {note['what'].get(key)}, found {value}"
                )
        self.before = note["seconds"]
        i, t = note["at"]
        _, plan, target, rng = loops[i]
        target.used = held["used"]
        rng.bit_generator.state = note["rng"]
        theta = model.restore([held[f"theta{k}"] for k in range(_count(held, "theta"))])
        data = [held[f"data{k}"] for k in range(_count(held, "data"))]
        if t == plan.generations:
            return note["records"], None
        return note["records"], (t, theta, Documents(*data))

    def finish(self, result):
        text = json.dumps(result, indent=1, allow_nan=False)
        os.replace(self._written(self.out, text.encode()), self.out)
        self.file.unlink(missing_ok=True)

    def _written(self, path, content):
        """The draft of path, written."""
        part = _draft(path)
        try:
            with open(part, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            saved = ", go on with --resume when it can" if self.file.is_file() else ""
            raise OSError(
                f"{self.out} or its checkpoint could not be written ({error.strerror}); what was "
                f"there is as it was{saved}"
            ) from error
        return part


def _draft(path):
    return path.with_name(path.name + ".part")


def _sha(content):
    return hashlib.sha256(content).digest()


def _count(held, name):
    return sum(key.startswith(name) for key in held)


class Clock:
    """Progress: tokens a second, the padding of short documents included, and time left."""

    def __init__(self, tokens, trained, quiet):
        self.work = [tokens * np.asarray(n, dtype=float) for n in trained]
        self.quiet, self.done, self.start = quiet, 0.0, time.time()
        self.total = sum(work.sum() for work in self.work)

    def tick(self, i, t, setting, measured):
        self.done += self.work[i][t]
        passed = sum(work.sum() for work in self.work[:i]) + self.work[i][: t + 1].sum()
        rate = self.done / (time.time() - self.start)
        if not self.quiet:
            loss = np.mean(measured["bits per byte"])
            left = (self.total - passed) / rate
            print(f"{setting:22} generation {t:2d}: {loss:.4f} bits per byte, "
                  f"{rate:,.0f} tokens/s, {left / 60:.1f} min left", flush=True)  # fmt: skip


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m collapse.experiments.gpt",
        description="A small GPT, retrained generation after generation on its own writing.",
    )
    parser.add_argument("--config", required=True, choices=list(CONFIGS))
    parser.add_argument("--out", required=True, help="a new .json file")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--files", help="a folder of .txt files; by default Python's own English")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--splits", type=int, help="replications, in place of the configuration's")
    given = parser.parse_args(arguments)
    config = CONFIGS[given.config]
    try:
        if given.splits is not None:
            config = replace(config, splits=_check.whole("splits", given.splits))
        run(
            given.config, config, given.out,
            files=given.files, seed=given.seed, resume=given.resume,
        )  # fmt: skip
    except (OSError, ValueError, TypeError, MemoryError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except Exception as error:  # XLA has its own kind of error
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        sys.exit(
            "out of memory: go on with --resume where there is more, or begin anew with fewer "
            "--splits or a smaller --config and another --out"
        )


def _stop(*_):
    """Ends at once: XLA's threads do not survive an exception, and the checkpoint is whole."""
    os.write(2, b"interrupted: go on with --resume if a generation was finished, else anew\n")
    os._exit(130)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _stop)
    main()
