"""Results: what a simulation recorded, with the plan and the seed that produced it."""

import json
import operator
import os
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from collapse import _check
from collapse.plans import Plan

__all__ = ["Result"]

FORMAT = "collapse.Result 1"
ARRAYS = ("n", "alpha", "gain", "real_weight")


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
        Entropy of the SeedSequence the run spawned from. A run given a seed, or nothing, is
        repeated exactly by ``rng=result.seed``.

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

    def __reduce__(self):  # copies and pickles are checked and read-only too
        return Result, (self.plan, dict(self.values), self.seed)

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

        The name is used as it is; an existing file is replaced in one step.
        """
        path = Path(os.path.realpath(_path(path)))  # through a link, to what it points at
        if not path.parent.is_dir():
            raise FileNotFoundError(f"path must be in a folder that exists, found {str(path)!r}")
        if path.is_dir():
            raise IsADirectoryError(f"path must name a file, found the folder {str(path)!r}")
        head = {"format": FORMAT, "seed": self.seed, "names": list(self.values)}
        head |= {"real": self.plan.real, "mixing": self.plan.mixing}
        head |= {"subsample": self.plan.subsample}
        head |= {"labelled": self.plan.real_weight is not None}
        arrays = {name: getattr(self.plan, name) for name in ARRAYS}
        if not head["labelled"]:
            del arrays["real_weight"]
        arrays |= {f"value{i}": array for i, array in enumerate(self.values.values())}
        draft = path.with_name(f".{uuid.uuid4().hex}")
        try:
            with open(draft, "xb") as file:
                np.savez_compressed(file, head=np.array(json.dumps(head)), **arrays)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
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
            If there is no such file, or it cannot be read.
        ValueError
            If the file is truncated, damaged or not a Result; the message names the file and
            what is wrong with it.
        """
        path = _path(path)
        with open(path, "rb") as file:
            try:
                if not zipfile.is_zipfile(file):
                    raise ValueError("it is not a whole .npz archive")
                file.seek(0)
                with np.load(file, allow_pickle=False) as archive:
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
        missing = {*fields, *(f"value{i}" for i in range(len(names)))} - set(archive)
        if missing or not {"seed", "real", "mixing", "labelled", "subsample"} <= set(head):
            raise ValueError(f"it lacks {sorted(missing) or 'a part of its head'}")
        plan = {name: archive[name] for name in fields}
        values = {name: archive[f"value{i}"] for i, name in enumerate(names)}
        options = {name: head[name] for name in ("real", "mixing", "subsample")}
        return cls(Plan(**plan, **options), values, head["seed"])

    def __repr__(self):
        shape = f"{self.plan.n.size} generations x {self.replications} replications"
        return f"Result({', '.join(self.values)}: {shape}, seed {self.seed})"


def _frozen(arrays):
    """A read-only mapping of read-only arrays."""
    for array in arrays.values():
        array.setflags(write=False)
    return MappingProxyType(arrays)


def _path(path):
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a str or a path, found {path!r}")
    return os.fspath(path)


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
