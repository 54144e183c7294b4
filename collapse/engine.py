"""The loop, for every scheme and every model: one generator, `iterate`, and its consumer."""

import pickle
from dataclasses import dataclass, replace

import joblib
import numpy as np
from tqdm import tqdm

from collapse import _check
from collapse.models._data import At, arrays
from collapse.plans import as_plan, last_use, real_counts, row
from collapse.result import Result, seed_of
from collapse.targets import Rows

__all__ = ["iterate", "simulate"]

BATCH = 256  # replications at once, at most
BATCH_FLOATS = 2**20  # and parameters at once, at most: memory does not grow with replications
BATCH_UNKNOWN = 16  # where the target does not say how many parameters there are


@dataclass(frozen=True, eq=False)
class Drawn:
    """A target: the rows of a real data set, drawn with replacement."""

    model: object
    x: np.ndarray

    def sample(self, n, rng):
        index = rng.integers(0, len(self.x), (n.size, int(n.max())))
        return self.model.collect(self.x[index], n)


def iterate(model, target, plan, *, replications=1, rng=None, write=None):
    """Run a loop and yield (t, theta) for t = 0..T, theta (R, ...) the fitted models.

    Parameters
    ----------
    model
        A model: `sample`, `pool`, `fit` (see `collapse.models`).
    target : (K,) array of parameters, or anything with ``sample(n, rng) -> data``
        What real samples are drawn from: by the law of the class that defines `parameters`,
        whatever a subclass does to writing. `sample` must be a function of its arguments, which
        is checked by drawing twice; a target with a state offers ``start(R, rng)`` in its place,
        called once for R replications, which returns something with `sample`. A target that
        changes with t: a list of T + 1 targets (what the model takes as one target stays one), or
        a function of t without `sample`, called once for each t = 0..T.
    plan : Plan
    replications : int
        Independent runs side by side, R, at least 1.
    rng : None, seed or numpy.random.Generator
    write : function theta -> theta, optional
        The law that writes, where it is not the model: one of `collapse.writers`, or any function
        of parameters (R, ...). Synthetic samples are drawn from ``write(theta)``; real ones never
        pass through it, and theta is yielded as it was fitted.

    Yields
    ------
    t : int
    theta : (R, ...)
        Not to be changed in place.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted; at the call, not at the
        first generation.

    Source: the loop of Bakshi and Chakraborty (2026), with the gain of Claim C1.

    Examples
    --------
    >>> from collapse import Categorical, replace
    >>> for t, theta in iterate(Categorical(), [0.5, 0.5], replace(4, 2), rng=7):
    ...     print(t, theta.tolist())
    0 [[0.5, 0.5]]
    1 [[0.75, 0.25]]
    2 [[0.5, 0.5]]
    """
    _check_plan(model, plan)
    known, _ = _targets(model, target, plan)
    R, write = _check.whole("replications", replications), _check_write(write)
    loop = generations(model, known, plan, R, _check.generator(rng), write=write)
    return ((t, theta) for t, theta, _ in loop)


def generations(model, targets, plan, R, rng, start=None, write=None):
    """Yield (t, theta, data); go on from such a `start`, where real data are fresh.

    `targets` has what real samples are drawn from at t = 0..T.
    """
    each = {id(target): target for target in targets}
    probes = {key: _probe(target, plan) for key, target in each.items()}
    live = {
        key: target.start(R, rng) if callable(getattr(target, "start", None)) else target
        for key, target in each.items()
    }
    targets = [live[id(target)] for target in targets]
    read = np.arange(plan.n.size) + plan.models  # the last t that asks for a model, for a batch
    read = (read if plan.reads is None else np.maximum(read, last_use(plan.reads))).tolist()
    kept = read if plan.keeps is None else last_use(plan.keeps).tolist()
    if start is None:
        data = targets[0].sample(np.full(R, plan.n[0]), rng)
        start = 0, _fit(model, data, R), data
        yield start  # trained on all its data, also where later ones are subsampled
    done, theta, data = start
    if plan.real == "fixed":
        targets = [At(model, model.empirical(data), "empirical")] * plan.n.size
    thetas, batches = {done: theta}, {done: data}  # those that will still be asked for
    for t in range(done + 1, plan.n.size):
        writers = _writers(plan, t, thetas, R, write)
        batch = _batch(model, targets[t], plan, t, *writers, R, rng)
        if plan.keeps is not None:
            batches[t] = batch
            data = _pooled(model, *row(plan.keeps, t), batches)
        # a gain of 1 forgets the past, unless a filtered batch may turn out empty
        elif plan.gain[t] < 1 or plan.real_weight is not None:
            data = model.pool(data, batch, plan.gain[t] * (batch.size > 0))
        else:
            data = batch
        used = model.subsample(data, np.full(R, plan.n[t]), rng) if plan.subsample else data
        theta = thetas[t] = _fit(model, used, R, previous=thetas.get(t - plan.models))
        yield t, theta, data
        for past, last in ((thetas, read), (batches, kept)):
            for name in [name for name in past if last[name] <= t]:
                del past[name]
    for key, target in each.items():
        _check_stateless(target, plan, before=probes[key])


def _fit(model, data, R, previous=None):
    theta = _checked(model.fit(data, previous=previous), R, "model and target")
    for array in arrays(theta):
        if isinstance(array, np.ndarray):
            array.setflags(write=False)  # nobody who looks at it can change the loop
    return theta


def _checked(theta, R, made):
    for array in arrays(theta):
        if isinstance(array, np.ndarray) and (
            array.shape[:1] != (R,) or not np.isfinite(array).all()
        ):
            raise ValueError(
                f"{made} must give finite parameters of shape ({R}, ...), found "
                f"{_check.short(array)} of shape {array.shape}"
            )
    return theta


def _writers(plan, t, thetas, R, write):
    """The models that write the synthetic part of batch t, and their chances."""
    names, chances = ([t - 1], [1.0]) if plan.reads is None else row(plan.reads, t)
    writers = [thetas[name] for name in names]
    if write is not None:
        writers = [_checked(write(theta), R, "write") for theta in writers]
    return writers, chances


def _pooled(model, names, weights, batches):
    """The batches `names` with these weights, one after another."""
    data, total = batches[names[0]], weights[0]
    for name, weight in zip(names[1:], weights[1:], strict=True):
        total += weight
        data = model.pool(data, batches[name], weight / total)
    return data


def _batch(model, target, plan, t, writers, chances, R, rng):
    """n_t samples of the mixture of target and writers, each with its chance."""
    n, alpha = plan.n[t], plan.alpha[t]
    if not writers:
        return target.sample(np.full(R, n), rng)
    theta = writers[0]
    labelled = plan.real_weight is not None
    fast = isinstance(target, At) and hasattr(model, "sample_mixture")
    fast = fast and getattr(model.sample, "__func__", None) is target.law()[0]  # not overridden
    if fast and plan.mixing == "iid" and not labelled and len(writers) == 1:
        return model.sample_mixture(theta, target.theta, alpha, n, rng)
    if plan.mixing == "iid":
        n_real = rng.binomial(n, alpha, R)
    else:
        n_real = np.full(R, real_counts(plan.n[t : t + 1], plan.alpha[t : t + 1])[0])
    writer = target.model if isinstance(target, Drawn) else model  # with covariates of its rows
    several = len(writers) > 1
    if several and hasattr(model, "split") and model.split(theta, n_real, n, rng):
        raise TypeError(
            "model must not share the rows of a design among the samples of a batch where several "
            "models write it: give covariates as an array of rows"
        )
    if isinstance(target, At) and hasattr(model, "split") and 0 < alpha < 1 and not several:
        parts = model.split(theta, n_real, n, rng)
        known, writer = (_own(model, part) for part in parts or (None, None))
        target = replace(target, model=known)
    real = target.sample(n_real, rng)
    if not several:
        synthetic = writer.sample(theta, n - n_real, rng)
    else:
        counts = rng.multinomial(n - n_real, np.divide(chances, np.sum(chances))).T
        parts = [writer.sample(*pair, rng) for pair in zip(writers, counts, strict=True)]
        synthetic, some = parts[0], counts[0]
        for part, count in zip(parts[1:], counts[1:], strict=True):
            some = some + count
            synthetic = model.pool(synthetic, part, count / np.maximum(some, 1))
    return model.pool(synthetic, real, plan.real_weight[t] if labelled else n_real / n)


def simulate(
    model, target, plan, *, replications=100, rng=None, record=None, n_jobs=1, progress=None,
    write=None,
):  # fmt: skip
    """Run independent replications of a loop and record statistics of every generation.

    Parameters
    ----------
    model
        A model: `sample`, `pool`, `fit` (see `collapse.models`).
    target : (K,) array of parameters, or anything with ``sample(n, rng) -> data``
        Also one that changes with t or has a state: see `iterate`.
    plan : Plan
    replications : int
        R, at least 1. They run in batches of fixed size: memory is bounded, and the numbers do
        not depend on `n_jobs`.
    rng : None, seed or numpy.random.Generator
    record : dict of str to function, optional
        Each function takes theta (R, ...) and returns (R,) numbers. By default what the model
        names for an array target; for `Categorical` ``{"l2": squared distance to the target}``,
        to that of generation t where it changes.
    n_jobs : int
        Worker processes, through joblib; -1 uses every core.
    progress : bool, optional
        Show a progress bar. By default on a terminal, if the work lasts over a second.
    write : function theta -> theta, optional
        The law that writes, as in `iterate`; statistics are of theta as it was fitted. It is no
        part of the plan, the Result keeps its ``repr`` (of a function its name).

    Returns
    -------
    Result

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: the loop of Bakshi and Chakraborty (2026), with the gain of Claim C1.

    Examples
    --------
    >>> from collapse import Categorical, mixture, simulate
    >>> from collapse.exact import l2_risk
    >>> p, plan = [0.2, 0.3, 0.5], mixture(100, 0.5, 10)
    >>> result = simulate(Categorical(), p, plan, replications=2000, rng=1)
    >>> bool(abs(result.mean["l2"] / l2_risk(p, plan) - 1).max() < 0.1)
    True
    """
    _check_plan(model, plan)
    targets, given = _targets(model, target, plan)
    known = targets[0]
    R = _check.whole("replications", replications)
    record = _check_record(model, given, targets, record)
    jobs = _check.whole("n_jobs", n_jobs, least=-4096)
    if jobs == 0 or jobs > 4096:
        raise ValueError(f"n_jobs must be 1 to 4096, or -1 for every core, found {jobs}")
    if progress is not None and not isinstance(progress, (bool, np.bool_)):
        raise TypeError(f"progress must be None, True or False, found {progress!r}")
    rng, write = _check.generator(rng), _check_write(write)

    batch = BATCH_UNKNOWN
    if isinstance(known, At) or getattr(model, "stores_samples", False):
        known_arrays = arrays(known.theta) if isinstance(known, At) else ()
        floats = sum(array.size for array in known_arrays)
        if getattr(model, "stores_samples", False):  # most memory is the data's
            width = known.x.shape[1] if isinstance(known, Drawn) else 1
            floats += width * int(plan.n.sum() if (plan.gain < 1).any() else plan.n.max())
        batch = max(1, min(BATCH, BATCH_FLOATS // floats))
    sizes = [min(batch, R - start) for start in range(0, R, batch)]
    children = rng.spawn(len(sizes))
    runs = [
        (model, targets, plan, record, write, *pair) for pair in zip(sizes, children, strict=True)
    ]
    hidden = None if progress is None else not progress  # None: hidden unless on a terminal
    steps = plan.n.size
    delay = 0 if progress else 1  # seconds; asked for, the bar comes at once
    with tqdm(total=len(runs) * steps, disable=hidden, delay=delay, unit="generation") as bar:
        if jobs == 1:
            parts = [_record(*run, bar.update) for run in runs]
        else:
            parts = []
            work = (joblib.delayed(_record)(*run) for run in runs)
            for part in joblib.Parallel(n_jobs=jobs, return_as="generator")(work):
                parts.append(part)
                bar.update(steps)
    values = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
    name = None if write is None else getattr(write, "__qualname__", repr(write))
    return Result(plan, values, seed_of(rng, len(sizes)), name)


def _record(model, targets, plan, record, write, R, rng, tick=None):
    """One batch of replications: dict of str to (T+1, R)."""
    values = {name: np.empty((plan.n.size, R)) for name in record[0]}
    for t, theta, _ in generations(model, targets, plan, R, rng, write=write):
        for name, statistic in record[t % len(record)].items():
            value = statistic(theta)
            value = None if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
            if value is None:
                raise TypeError(f"record[{name!r}] must return numbers without a mask")
            if value.shape != (R,) or value.dtype.kind not in "biuf":
                raise ValueError(
                    f"record[{name!r}] must return {R} numbers, one a replication, found shape "
                    f"{value.shape} of {value.dtype}"
                )
            values[name][t] = value
        if tick is not None:
            tick()
    for name, value in values.items():
        if np.isnan(value).any():
            t = int(np.argmax(np.isnan(value).any(axis=1)))
            raise ValueError(f"record[{name!r}] must return numbers, found NaN at generation {t}")
    return values


def _targets(model, target, plan):
    """What real samples are drawn from at t = 0..T, and the target, or T + 1 of them."""
    size = plan.n.size

    def made(target):
        try:
            return _target(model, target), None
        except (TypeError, ValueError) as error:
            return None, error

    methods = [callable(getattr(target, name, None)) for name in ("sample", "start")]
    changes = callable(target) and not isinstance(target, type) and not any(methods)
    if changes:
        try:
            given = [target(t) for t in range(size)]
        except TypeError as error:
            raise TypeError(f"target must be a function of t alone: {error}") from error
    else:
        known, error = made(target)
        if error is None:
            _check_stateless(known, plan)
            return [known] * size, [target]
        given = list(target) if isinstance(target, (list, tuple)) or np.ndim(target) else []
    targets, errors = zip(*map(made, given), strict=True) if given else ((), ())
    if not changes and all(errors):  # it was meant as one target
        raise error
    if len(given) != size:
        raise ValueError(
            f"{error}; nor one for each generation: T + 1 = {size}, found {len(given)} targets"
        )
    for t, error in enumerate(errors):
        if error is not None:
            raise type(error)(f"target of generation {t}: {error}") from error
    for known in {id(known): known for known in targets}.values():
        _check_stateless(known, plan)
    return list(targets), given


def _target(model, target):
    """What real samples are drawn from where this is the target."""
    for method in ("sample", "pool", "fit"):
        if isinstance(model, type) or not callable(getattr(model, method, None)):
            raise TypeError(f"model must have methods sample, pool and fit, found {model!r}")
    methods = (getattr(target, name, None) for name in ("sample", "start"))
    if any(map(callable, methods)) and not isinstance(target, type):
        return target
    if isinstance(target, Rows):
        if not hasattr(model, "collect"):
            raise TypeError(f"model needs a method collect for a target of rows, found {model!r}")
        model.collect(target.x[None], np.array([len(target.x)]))  # refuses what it cannot use
        made = model.for_rows(target.x) if hasattr(model, "for_rows") else None
        return Drawn(_own(model, made), target.x)
    if hasattr(model, "source"):
        return model.source(target)
    if not hasattr(model, "parameters"):
        raise TypeError(f"target must have a method sample(n, rng), found {target!r}")
    return At.one(model, model.parameters(target))


def _own(model, made):
    """A model that a method of `model` made: itself where None, refused where not of its kind."""
    if made is not None and type(made) is not type(model):
        raise TypeError(
            f"model must be a subclass of {type(made).__name__}, not a wrapper, or be given "
            f"covariates as an array of rows, found {model!r}"
        )
    return model if made is None else made


def _probe(target, plan):
    """A digest of one draw from a fixed seed; None of a target that starts anew or is ours."""
    if isinstance(target, (At, Drawn)) or callable(getattr(target, "start", None)):
        return None
    data = target.sample(np.minimum(plan.n[:1], 100), np.random.default_rng(0))
    try:
        return joblib.hash(data)
    except (pickle.PicklingError, TypeError, AttributeError):
        return None  # of data that cannot be pickled nothing is known


def _check_stateless(target, plan, before=None):
    probe = _probe(target, plan)
    if probe != (before or _probe(target, plan)):
        raise ValueError(
            "target must have a sample(n, rng) that is a function of n and rng: two draws from "
            "equal generators differ. Give a target that changes with t as a list of T + 1 "
            "targets or a function of t, one with a state as start(R, rng) (see collapse.iterate); "
            f"found {target!r}"
        )


def _check_plan(model, plan):
    as_plan(plan)
    if plan.real == "fixed" and not hasattr(model, "empirical"):
        raise TypeError(f"model needs a method empirical where real='fixed', found {model!r}")
    if plan.subsample and not hasattr(model, "subsample"):
        raise TypeError(f"model needs a method subsample for this plan, found {model!r}")


def _check_write(write):
    if write is not None and not callable(write):
        raise TypeError(f"write must be None or a function theta -> theta, found {write!r}")
    return write


def _check_record(model, given, targets, record):
    """Statistics for every generation: one dict, or T + 1 of them."""
    if record is None:
        own = (x is y or isinstance(y, Drawn) for x, y in zip(given, targets, strict=False))
        if any(own) or not hasattr(model, "default_record"):
            raise ValueError("record must be given, this model and target have no default")
        return [model.default_record(target) for target in given]
    if not hasattr(record, "items") or not record:
        raise TypeError(f"record must be a dict of str to function, not empty, found {record!r}")
    for name, statistic in record.items():
        if not isinstance(name, str) or not callable(statistic):
            raise TypeError(f"record must map names to functions, found {name!r}: {statistic!r}")
    return [dict(record)]
