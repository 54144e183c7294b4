"""Results: what a simulation recorded, with the plan and the seed that produced it."""

import hashlib
import json
import math
import operator
import os
import uuid
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from collapse import _check
from collapse.plans import Plan

try:
    import fcntl
except ImportError:  # Windows has no such locks; there a killed save leaves its draft
    fcntl = None

__all__ = ["Result"]

FORMAT = "collapse.Result 1"
ARRAYS = ("n", "alpha", "gain", "real_weight")
LINKS = ("reads", "keeps")  # sparse matrices of a plan, three arrays each
PARTS = ("data", "indices", "indptr")
PLAIN, RATIO = 2**28, 100  # bytes; larger arrays stand in a file at least this part of their size


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What `simulate` recorded.

    Parameters
    ----------
    plan : Plan
        The loop that was run.
    values : dict of str to (T+1, R) float64
        Each recorded statistic, generation by replication; read-only.
    seed : int, list of int or None
        ``rng=result.seed`` repeats the run exactly: the numbers do not depend on `n_jobs`. None
        where no seed does: a Generator that had spawned before or was spawned itself, or one of
        another kind than ``default_rng`` makes. Replications run in batches of b, at most 256,
        which depends on model, target and plan only. Runs with one seed and R <= R' replications
        share the first b floor(R / b) of them; where R < R', the rest are other draws.
    write : str or None
        The law that wrote, where it was not the model: what `simulate` was given, as it prints.

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together.

    Examples
    --------
    >>> from collapse import Categorical, replace, simulate
    >>> plan = replace(10, 2)
    >>> result = simulate(Categorical(), [0.5, 0.5], plan, replications=4, rng=1)
    >>> result
    Result(l2: 3 generations x 4 replications, seed 1)
    >>> result.mean["l2"].shape, result.quantile([0.05, 0.95])["l2"].shape
    ((3,), (2, 3))
    """

    plan: Plan
    values: dict
    seed: object = None
    write: str | None = None

    def __post_init__(self):
        if not isinstance(self.plan, Plan):
            raise TypeError(f"plan must be a collapse.Plan, found {self.plan!r}")
        if not isinstance(self.values, Mapping) or not self.values:
            raise TypeError(f"values must be a dict of arrays, not empty, found {self.values!r}")
        values = {}
        for name, given in self.values.items():
            if not isinstance(name, str):
                raise TypeError(f"values must have names of type str, found {name!r}")
            array = _check.real_array(f"values[{name!r}]", given, finite=False)
            if array.ndim != 2 or array.shape[0] != self.plan.n.size or array.shape[1] < 1:
                raise ValueError(
                    f"values[{name!r}] must have shape (T + 1, R) with T + 1 = "
                    f"{self.plan.n.size}, found {array.shape}"
                )
            if np.isnan(array).any():
                raise ValueError(f"values[{name!r}] must be numbers, found NaN")
            values[name] = array
        if len({array.shape for array in values.values()}) > 1:
            shapes = {name: array.shape for name, array in values.items()}
            raise ValueError(f"values must all have one shape, found {shapes}")
        object.__setattr__(self, "values", _frozen(values))
        object.__setattr__(self, "seed", _plain(self.seed))
        if self.write is not None and not isinstance(self.write, str):
            raise TypeError(f"write must be None or a str, found {self.write!r}")

    def __reduce__(self):  # copies and pickles are checked and read-only too
        return Result, (self.plan, dict(self.values), self.seed, self.write)

    @property
    def replications(self):
        """R, the number of replications."""
        return next(iter(self.values.values())).shape[1]

    @cached_property
    def mean(self):
        """The mean over replications, a dict of str to (T+1,)."""
        return _frozen({name: array.mean(axis=1) for name, array in self.values.items()})

    @cached_property
    def standard_error(self):
        """The standard error of the mean, a dict of str to (T+1,); needs two replications.

        It is inf where a recorded value is.
        """
        if self.replications < 2:
            raise ValueError("standard_error needs at least 2 replications, found 1")
        errors = {}
        for name, array in self.values.items():
            finite = np.isfinite(array).all(axis=1)
            errors[name] = np.full(len(array), np.inf)
            errors[name][finite] = array[finite].std(axis=1, ddof=1) / np.sqrt(self.replications)
        return _frozen(errors)

    def quantile(self, q):
        """Quantiles over replications, q in [0, 1]: a dict of str to (T+1,) or (len(q), T+1)."""
        q = _check.fraction("q", q)
        if q.ndim > 1:
            raise ValueError(f"q must be a number or a list of numbers, found shape {q.shape}")
        quantiles = {}
        for name, array in self.values.items():
            # between two recorded values, unless one is infinite: then the higher of the two
            method = "linear" if np.isfinite(array).all() else "higher"
            quantiles[name] = np.quantile(array, q, axis=1, method=method)
        return quantiles

    def save(self, path):
        """Write to `path` whole or not at all, as a NumPy .npz archive without pickle.

        The name is used as it is; an existing file is replaced in one step and keeps its mode.
        What a killed save to this path left behind is removed. Of two at once the last one stays.

        Raises
        ------
        TypeError
            If `path` is not a path.
        OSError
            If it names a folder, a device or a pipe, or its folder is missing or not writable.
        """
        path = Path(os.path.realpath(_path(path)))  # through a link, to what it points at
        if not path.parent.is_dir():
            raise FileNotFoundError(f"path must be in a folder that exists, found {str(path)!r}")
        head = {"format": FORMAT, "seed": self.seed, "names": list(self.values)}
        head |= {"real": self.plan.real, "mixing": self.plan.mixing}
        head |= {"subsample": self.plan.subsample, "write": self.write}
        head |= {"labelled": self.plan.real_weight is not None}
        arrays = {name: getattr(self.plan, name) for name in ARRAYS}
        if not head["labelled"]:
            del arrays["real_weight"]
        head |= {"links": [x for x in LINKS if getattr(self.plan, x) is not None]}
        head |= {"models": self.plan.models}
        for link in head["links"]:
            matrix = getattr(self.plan, link)
            arrays |= {f"{link}_{part}": getattr(matrix, part) for part in PARTS}
        arrays |= {f"value{i}": array for i, array in enumerate(self.values.values())}
        head["digest"] = _digest(head, arrays.values())
        file = _draft(path)
        draft = Path(file.name)
        try:
            with file:
                arrays["head"] = np.array(json.dumps(head))
                np.savez_compressed(file, **arrays)
                if sum(array.nbytes + 256 for array in arrays.values()) > _most(file.tell()):
                    file.seek(0)  # `load` would not believe so small a file
                    file.truncate()
                    np.savez(file, **arrays)
                if path.exists():
                    os.chmod(draft, path.stat().st_mode & 0o7777)
                file.flush()
                os.fsync(file.fileno())
                if not fcntl:
                    file.close()  # Windows renames no open file
                os.replace(draft, path)  # elsewhere it stays locked until it has its name
        finally:
            draft.unlink(missing_ok=True)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote.

        Raises
        ------
        TypeError
            If `path` is not a path.
        OSError
            If there is no such file, it cannot be read, or is a folder, a device or a pipe.
        ValueError
            If the file is truncated, damaged, changed or not a Result, or would grow to more than
            256 MB and a hundred times its size (no file that `save` writes does); the message
            names the file and what is wrong with it.
        """
        path = _path(path)
        with open(path, "rb") as file:
            try:
                if not zipfile.is_zipfile(file):
                    raise ValueError("it is not a whole .npz archive")
                file.seek(0)
                with np.load(file, allow_pickle=False) as archive:
                    _check_sizes(archive.zip, os.fstat(file.fileno()).st_size)
                    return cls._from(archive)
            except Exception as error:  # a damaged archive can fail in many ways
                raise ValueError(f"path: cannot load a Result from {path!r}: {error}") from error

    @classmethod
    def _from(cls, archive):
        head = json.loads(str(archive["head"])) if "head" in archive else None
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise ValueError(f"it does not say that its format is {FORMAT!r}")
        names = head.get("names")
        if not isinstance(names, list) or len(set(map(str, names))) != len(names):
            raise ValueError(f"its names must be a list without repeats, found {names!r}")
        fields = ARRAYS if head.get("labelled") else ARRAYS[:-1]
        links = [link for link in LINKS if link in head.get("links", ())]
        fields += tuple(f"{link}_{part}" for link in links for part in PARTS)
        missing = {*fields, *(f"value{i}" for i in range(len(names)))} - set(archive)
        if missing or not {"seed", "real", "mixing", "labelled", "subsample"} <= set(head):
            raise ValueError(f"it lacks {sorted(missing) or 'a part of its head'}")
        plan = {name: archive[name] for name in fields}
        values = [archive[f"value{i}"] for i in range(len(names))]
        digest = head.pop("digest", None)  # files of the first version have none
        if digest is not None and digest != _digest(head, [*plan.values(), *values]):
            raise ValueError("its content is not what was saved: the digest differs")
        options = {name: head[name] for name in ("real", "mixing", "subsample")}
        options["models"] = head.get("models", 1)
        from scipy.sparse import csr_array  # slow to import

        for link in links:
            parts, size = tuple(plan.pop(f"{link}_{part}") for part in PARTS), plan["n"].size
            plan[link] = csr_array(parts, shape=(size, size))
            if link == "keeps":
                del plan["gain"]  # its diagonal
        values = dict(zip(names, values, strict=True))
        return cls(Plan(**plan, **options), values, head["seed"], head.get("write"))

    def __repr__(self):
        shape = f"{self.plan.n.size} generations x {self.replications} replications"
        write = "" if self.write is None else f", write={self.write}"
        return f"Result({', '.join(self.values)}: {shape}, seed {self.seed}{write})"


def _frozen(arrays):
    """A read-only mapping of read-only arrays."""
    for array in arrays.values():
        array.setflags(write=False)
    return MappingProxyType(arrays)


def _path(path):
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a str or a path, found {path!r}")
    if os.path.isdir(path):
        raise IsADirectoryError(f"path must name a file, found the folder {os.fspath(path)!r}")
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(f"path must name a file, found a device or pipe: {os.fspath(path)!r}")
    return os.fspath(path)


def _draft(path):
    """A new file beside `path`, locked while somebody writes it; drafts without a lock go."""
    stem = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}"
    for old in path.parent.glob(f"{stem}.*"):
        with suppress(OSError, AttributeError), open(old, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            old.unlink()
    while True:
        file = open(path.with_name(f"{stem}.{uuid.uuid4().hex}"), "xb")  # noqa: SIM115
        with suppress(OSError, AttributeError):  # a file system without locks: nothing is removed
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.path.exists(file.name):  # another save can have removed it before it was locked
            return file
        file.close()


def _digest(head, arrays):
    """SHA-256 of everything in a file; `head` without the digest itself."""
    total = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for array in arrays:
        total.update(f"{array.dtype.str} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _most(size):
    """How many bytes the arrays of a file of this size can have."""
    return max(PLAIN, RATIO * size)


def _check_sizes(archive, size):
    """Refuse, before any array is made, one of another size than its place in the file."""
    total = sum(info.file_size for info in archive.infolist())
    if total > _most(size):
        raise ValueError(f"its {size} bytes would grow to {total}; if you trust it, numpy.load")
    for info in archive.infolist():
        with archive.open(info) as file:
            version = np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            length = file.tell() + math.prod(shape) * dtype.itemsize
        if version != (1, 0) or (length != info.file_size and not dtype.hasobject):
            raise ValueError(f"{info.filename} holds {info.file_size} bytes, its array {length}")


def seed_of(rng, spawned):
    """The seed that gives the children which this Generator has spawned; None if none does."""

    def kind(rng):
        source = rng.bit_generator.seed_seq
        return (type(rng), type(rng.bit_generator), type(source), source.spawn_key,
                source.pool_size, source.n_children_spawned)  # fmt: skip

    try:
        seed = _plain(rng.bit_generator.seed_seq.entropy)
        usual = np.random.default_rng(seed)
        usual.bit_generator.seed_seq.spawn(spawned)
        return seed if kind(rng) == kind(usual) else None
    except (AttributeError, TypeError):  # another source of seeds, or text among its numbers
        return None


def _plain(seed):
    """A seed as JSON holds it: whole numbers of Python, or lists of them."""
    if seed is None:
        return None
    if isinstance(seed, (list, tuple, np.ndarray)):
        return [_plain(part) for part in seed]
    try:
        return operator.index(seed)
    except TypeError:
        raise TypeError(f"seed must be whole numbers or None, found {seed!r}") from None
