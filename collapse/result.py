"""Results: what a simulation recorded, with the plan and the seed that produced it."""

import json
import os
import uuid
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from collapse import _check
from collapse.plans import Plan

__all__ = ["Result"]

FORMAT = "collapse.Result 1"
ARRAYS = ("n", "alpha", "gain", "real_weight")
DAMAGE = (zipfile.BadZipFile, zlib.error)


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
    >>> result = simulate(Categorical(), [0.5, 0.5], replace(10, 2), replications=4, rng=1)
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
        if not isinstance(self.values, dict) or not self.values:
            raise TypeError(f"values must be a dict of arrays, not empty, found {self.values!r}")
        values = {}
        for name, given in self.values.items():
            array = np.array(given, dtype=np.float64)
            if array.ndim != 2 or array.shape[0] != self.plan.n.size or array.shape[1] < 1:
                raise ValueError(
                    f"values[{name!r}] must have shape (T + 1, R) with T + 1 = "
                    f"{self.plan.n.size}, found {array.shape}"
                )
            array.setflags(write=False)
            values[name] = array
        if len({array.shape for array in values.values()}) > 1:
            shapes = {name: array.shape for name, array in values.items()}
            raise ValueError(f"values must all have one shape, found {shapes}")
        object.__setattr__(self, "values", values)

    @property
    def replications(self):
        """R, the number of replications."""
        return next(iter(self.values.values())).shape[1]

    @cached_property
    def mean(self):
        """Dict of str to (T+1,): the mean over replications."""
        return {name: array.mean(axis=1) for name, array in self.values.items()}

    @cached_property
    def standard_error(self):
        """Dict of str to (T+1,): the standard error of the mean; needs two replications."""
        if self.replications < 2:
            raise ValueError("standard_error needs at least 2 replications, found 1")
        root = np.sqrt(self.replications)
        return {name: array.std(axis=1, ddof=1) / root for name, array in self.values.items()}

    def quantile(self, q):
        """Dict of str to (T+1,), or (len(q), T+1): quantiles over replications, q in [0, 1]."""
        q = _check.fraction("q", q)
        if q.ndim > 1:
            raise ValueError(f"q must be a number or a list of numbers, found shape {q.shape}")
        return {name: np.quantile(array, q, axis=1) for name, array in self.values.items()}

    def save(self, path):
        """Write to `path` whole or not at all, as a NumPy .npz archive without pickle.

        The name is used as it is; an existing file is replaced in one step.
        """
        path = Path(path)
        head = {"format": FORMAT, "seed": _plain(self.seed), "names": list(self.values)}
        head |= {"real": self.plan.real, "mixing": self.plan.mixing}
        arrays = {name: getattr(self.plan, name) for name in ARRAYS}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        arrays |= {f"value{i}": array for i, array in enumerate(self.values.values())}
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
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
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is truncated, damaged or not a Result; the message names the file and
            what is wrong with it.
        """
        try:
            with open(path, "rb") as file:
                if file.read(2) != b"PK":
                    raise ValueError("it is not a .npz archive")
            with np.load(path, allow_pickle=False) as archive:
                head = json.loads(str(archive["head"])) if "head" in archive else None
                if not isinstance(head, dict) or head.get("format") != FORMAT:
                    raise ValueError(f"it does not say that its format is {FORMAT!r}")
                plan = {name: archive[name] for name in ARRAYS if name in archive}
                values = {name: archive[f"value{i}"] for i, name in enumerate(head["names"])}
                plan = Plan(**plan, real=head["real"], mixing=head["mixing"])
                return cls(plan, values, head["seed"])
        except (ValueError, TypeError, KeyError, EOFError, *DAMAGE) as error:
            raise ValueError(f"path: cannot load a Result from {str(path)!r}: {error}") from error

    def __repr__(self):
        shape = f"{self.plan.n.size} generations x {self.replications} replications"
        return f"Result({', '.join(self.values)}: {shape}, seed {self.seed})"


def _plain(seed):
    """A seed as JSON holds it: NumPy whole numbers and arrays become Python's."""
    if seed is None or isinstance(seed, int):
        return seed
    return np.asarray(seed, dtype=object).tolist()
