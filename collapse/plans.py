"""Plans: everything a loop is, resolved into plain arrays that theory and simulation share.

Generation t draws n_t samples, a share alpha_t of them real; the batch enters the training data
with share gain_t, gain 1 meaning that the past is forgotten:

    phat_t = (1 - gain_t) phat_{t-1} + gain_t y_t,      y_t the estimate from the batch alone.

Every scheme of the literature that this package knows is a choice of these arrays.
"""

import operator
from dataclasses import dataclass

import numpy as np

from collapse import _check
from collapse.schedules import resolve_shares, resolve_sizes

__all__ = [
    "Plan",
    "accumulate",
    "anchored",
    "augmented",
    "aware",
    "filtered",
    "finetuned",
    "mixture",
    "replace",
    "several",
    "subsampled",
    "weighted",
    "window",
]


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """A training loop, resolved: read-only arrays of length T + 1.

    The scheme functions (`mixture`, `replace`, ...) make plans; build one by hand for a loop of
    your own. Arrays are copied, checked and made read-only.

    Parameters
    ----------
    n : (T+1,) whole numbers, at least 1
        Samples drawn for each generation.
    alpha : (T+1,) in [0, 1]
        Share of the real target in each generation's mixture; ``alpha[0]`` is 1.
    gain : (T+1,) in [0, 1], optional
        Share of each new batch in the training data; ``gain[0]`` is 1. By default 1 throughout:
        only the newest batch counts.
    real_weight : (T+1,) in [0, 1], optional
        Source labels are known and the real part of the batch carries this weight. Needs
        stratified mixing, unless it is 1 throughout (the filter). A side of the batch without
        samples has no weight: there the value is resolved to 0 or 1.
    real : {"fresh", "fixed"}
        Whether real samples are new draws from the target, or generation 0's own sample drawn
        again with replacement.
    mixing : {"iid", "stratified"}
        Whether the number of real samples is Binomial(n_t, alpha_t) or exactly alpha_t n_t.
    subsample : bool
        Whether the model is fitted to n_t of all data so far, drawn without replacement, in place
        of all of them. Needs the gain n_t / (n_0 + ... + n_t) of `accumulate`.
    reads : (T+1, T+1), dense or sparse, optional
        Row t: the probabilities with which a synthetic sample of batch t is written by models
        0..t-1. Rows sum to 1; one whose alpha is 1 may be 0. By default the newest model writes.
    keeps : (T+1, T+1), dense or sparse, optional, in place of `gain`
        Row t: the weights of batches 0..t in the training data of generation t; rows sum to 1.
        `gain` is then the diagonal. By default what `gain` says.
    models : int, at least 1
        Models side by side: entry generation * models + model. The model that stays where there
        are no data to fit is the one `models` entries earlier. The first `models` shares are 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Examples
    --------
    >>> Plan(n=[10, 20, 20], alpha=[1, 0.5, 0.5])
    Plan(T=2, n=10..20, alpha=1..0.5, gain=1, real='fresh', mixing='iid')
    """

    n: np.ndarray
    alpha: np.ndarray
    gain: np.ndarray | None = None
    real_weight: np.ndarray | None = None
    real: str = "fresh"
    mixing: str = "iid"
    subsample: bool = False
    reads: object = None
    keeps: object = None
    models: int = 1

    def __post_init__(self):
        n = _check.whole_array("n", self.n)
        if n.ndim != 1 or n.size < 2:
            raise ValueError(f"n must have shape (T + 1,) with T at least 1, found {n.shape}")
        _check.option("real", self.real, ("fresh", "fixed"))
        _check.option("mixing", self.mixing, ("iid", "stratified"))
        fields = {"n": n, "alpha": _shares("alpha", self.alpha, n.size)}
        gain = _check_links(self, fields["alpha"])
        fields["gain"] = _shares("gain", gain, n.size)
        counts = real_counts(n, fields["alpha"]) if self.mixing == "stratified" else None
        if self.real_weight is not None:
            weight = _shares("real_weight", self.real_weight, n.size)
            if counts is not None:  # a side without samples has no weight
                weight = np.where(counts == 0, 0.0, np.where(counts == n, 1.0, weight))
            elif (weight != 1).any():
                raise ValueError(
                    "real_weight must be 1 throughout (the filter) unless mixing='stratified', "
                    f"found {weight[weight != 1][0]}"
                )
            fields["real_weight"] = weight
        if not isinstance(self.subsample, (bool, np.bool_)):
            raise TypeError(f"subsample must be True or False, found {self.subsample!r}")
        object.__setattr__(self, "subsample", bool(self.subsample))
        if self.subsample:
            _check_subsample(self, n, fields["gain"])
        for name, array in fields.items():
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def generations(self):
        """T, the number of generations after generation 0; with several models, of models."""
        return self.n.size - 1

    @property
    def linked(self):
        """Whether the plan says which models write or which batches are kept."""
        return self.reads is not None or self.keeps is not None

    def __reduce__(self):  # copies and pickles are checked and read-only too
        gain = self.gain if self.keeps is None else None
        arrays = (self.n, self.alpha, gain, self.real_weight)
        links = (self.reads, self.keeps, self.models)
        return Plan, (*arrays, self.real, self.mixing, self.subsample, *links)

    def __repr__(self):
        weight = "" if self.real_weight is None else f", real_weight={_short(self.real_weight)}"
        subsample = ", subsample=True" if self.subsample else ""
        for name in ("reads", "keeps"):
            if (matrix := getattr(self, name)) is not None:
                subsample += f", {name}={matrix.nnz} numbers"
        subsample += f", models={self.models}" if self.models > 1 else ""
        return (
            f"Plan(T={self.generations}, n={_short(self.n)}, alpha={_short(self.alpha)}, "
            f"gain={_short(self.gain)}{weight}, real={self.real!r}, mixing={self.mixing!r}"
            f"{subsample})"
        )


def real_counts(n, alpha):
    """The whole numbers alpha_t n_t of a stratified mixture, int64, or an error."""
    counts = alpha * n
    whole = np.rint(counts)
    slack = 1e-9 * np.minimum(1.0, np.minimum(counts, n - counts))  # no share rounds away
    wrong = abs(counts - whole) > slack + 4 * np.finfo(float).eps * counts
    if wrong.any():
        t = int(np.argmax(wrong))
        raise ValueError(
            f"alpha * n must be whole where mixing is 'stratified', found "
            f"alpha[{t}] * n[{t}] = {alpha[t]} * {n[t]} = {counts[t]}"
        )
    return whole.astype(np.int64)


def mixture(n, alpha, generations, *, mixing="iid"):
    """Train each generation on n_t samples of alpha_t P + (1 - alpha_t) Phat_{t-1}, labels unknown.

    The contamination-agnostic loop of Bakshi and Chakraborty.

    Parameters
    ----------
    n : number, (T+1,) array or function of t
        Samples per generation, whole, at least 1. A function is called for t = 0..T and rounded.
    alpha : number, (T+1,) array or function of t
        Real share in [0, 1]. A function is called for t = 1..T; an array must start with 1.
    generations : int
        T, at least 1.
    mixing : {"iid", "stratified"}
        Each sample is real with probability alpha_t, or exactly alpha_t n_t of them are.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Bakshi and Chakraborty (2026); Claims A2 (iid) and C6 (stratified).

    Examples
    --------
    >>> mixture(1000, 0.1, 50)
    Plan(T=50, n=1000, alpha=1..0.1, gain=1, real='fresh', mixing='iid')
    """
    n, alpha = _resolve(n, alpha, generations)
    return Plan(n, alpha, mixing=mixing)


def replace(n, generations):
    """Train each generation on n_t samples of the previous model alone; alpha_t = 0 after t = 0.

    Parameters
    ----------
    n, generations
        As in `mixture`.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Shumailov et al. (2024); Claim B1.

    Examples
    --------
    >>> replace(100, 3)
    Plan(T=3, n=100, alpha=1..0, gain=1, real='fresh', mixing='iid')
    """
    return mixture(n, 0.0, generations)


def accumulate(n, generations, *, alpha=0.0, mixing="iid"):
    """Train on all data so far: the gain of generation t is n_t / (n_0 + ... + n_t).

    Parameters
    ----------
    n, generations, mixing
        As in `mixture`.
    alpha : number, (T+1,) array or function of t
        As in `mixture`; by default no fresh real data after generation 0.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Gerstgrasser et al. (2024); Claims C1, C2, C3.

    Examples
    --------
    >>> accumulate(100, 3).gain.round(2).tolist()
    [1.0, 0.5, 0.33, 0.25]
    """
    n, alpha = _resolve(n, alpha, generations)
    return Plan(n, alpha, gain=_keep_all(n), mixing=mixing)


def subsampled(n, generations, *, alpha=0.0):
    """Keep all data so far, train on n_t of them, drawn without replacement: constant work.

    Parameters
    ----------
    n, generations
        As in `mixture`.
    alpha : number, (T+1,) array or function of t
        As in `mixture`; by default no fresh real data after generation 0.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Kazdan et al. (2024); Claim C7.

    Examples
    --------
    >>> plan = subsampled(100, 3)
    >>> plan.gain.round(2).tolist(), plan.subsample
    ([1.0, 0.5, 0.33, 0.25], True)
    """
    n, alpha = _resolve(n, alpha, generations)
    return Plan(n, alpha, gain=_keep_all(n), subsample=True)


def filtered(n, alpha, generations):
    """Train on this generation's real samples alone; keep the previous model if there are none.

    Parameters
    ----------
    n, generations
        As in `mixture`.
    alpha : number, (T+1,) array or function of t
        N_t ~ Binomial(n_t, alpha_t) samples are real, and known to be.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim B4.

    Examples
    --------
    >>> filtered(100, 0.2, 3)
    Plan(T=3, n=100, alpha=1..0.2, gain=1, real_weight=1, real='fresh', mixing='iid')
    """
    n, alpha = _resolve(n, alpha, generations)
    return Plan(n, alpha, real_weight=np.ones(n.size))


def weighted(n, alpha, generations, *, real_weight):
    """Source labels known: the alpha_t n_t real samples together carry weight `real_weight`.

    Parameters
    ----------
    n, alpha, generations
        As in `mixture`; alpha_t n_t must be whole.
    real_weight : number, (T+1,) array or function of t
        Weight in [0, 1] of the real part of each batch; an array must start with 1. A side of
        the batch without samples has no weight.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: He, Xu and Cheng (2025); Claim C5.

    Examples
    --------
    >>> weighted(100, 0.5, 3, real_weight=0.618)
    Plan(T=3, n=100, alpha=1..0.5, gain=1, real_weight=1..0.618, real='fresh', mixing='stratified')
    """
    n, alpha = _resolve(n, alpha, generations)
    weight = resolve_shares(real_weight, n.size - 1, name="real_weight")
    return Plan(n, alpha, real_weight=weight, mixing="stratified")


def aware(n, alpha, generations):
    """Share known, labels unknown: the gain that minimises the risk at every generation at once.

    With v_t = (1 - (1 - alpha_t)^2 rho_{t-1}) / n_t the variance of a batch, the gain is
    min(1, alpha_t rho_{t-1} / (alpha_t^2 rho_{t-1} + v_t)): a scalar Kalman gain.

    Parameters
    ----------
    n, alpha, generations
        As in `mixture`.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim C4; G1 says that nothing unbiased does better to first order.

    Examples
    --------
    >>> aware(100, 0.5, 3).gain.round(3).tolist()
    [1.0, 0.401, 0.334, 0.286]
    """
    n, alpha = _resolve(n, alpha, generations)
    gain, rho = np.ones(n.size), 1 / n[0]
    for t in range(1, n.size):
        v = ((1 - rho) + alpha[t] * (2 - alpha[t]) * rho) / n[t]  # without cancellation
        if alpha[t] == 0:  # a batch without real samples teaches nothing
            gain[t] = 0.0
        else:
            gain[t] = min(1.0, alpha[t] * rho / (alpha[t] ** 2 * rho + v))
        rho = (1 - gain[t] * alpha[t]) ** 2 * rho + gain[t] ** 2 * v
    return Plan(n, alpha, gain=gain)


def anchored(n, alpha, generations):
    """The real part is generation 0's own sample, drawn again with replacement for ever.

    Parameters
    ----------
    n, generations
        As in `mixture`.
    alpha : number, (T+1,) array or function of t
        Share of the old real sample.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim B8.

    Examples
    --------
    >>> anchored(100, 0.5, 3)
    Plan(T=3, n=100, alpha=1..0.5, gain=1, real='fixed', mixing='iid')
    """
    n, alpha = _resolve(n, alpha, generations)
    return Plan(n, alpha, real="fixed")


def window(n, alpha, generations, *, length):
    """Train on the newest `length` batches, all their samples alike.

    Parameters
    ----------
    n, alpha, generations
        As in `mixture`.
    length : int, at least 1
        Batches that are kept; 1 is `mixture`.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim N3.

    Examples
    --------
    >>> window(10, 0.0, 3, length=2).keeps.toarray().tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    from scipy import sparse  # slow to import

    (n, alpha), length = _resolve(n, alpha, generations), _check.whole("length", length)
    keeps = sparse.diags_array(
        [n[: n.size - back].astype(float) for back in range(min(length, n.size))],
        offsets=[-back for back in range(min(length, n.size))],
    ).tocsr()
    return Plan(n, alpha, keeps=_rows_to_one(keeps))


def augmented(n, generations):
    """Train on all of generation 0's real data beside the newest synthetic batch.

    Samples count alike: batch 0 has the share n_0 / (n_0 + n_t) of the data of generation t.

    Parameters
    ----------
    n, generations
        As in `mixture`; n_0 real samples, then n_t synthetic ones.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Alemohammad et al. (2023), the synthetic augmentation loop; Claim N4.

    Examples
    --------
    >>> augmented(10, 2).keeps.toarray().tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5]]
    """
    from scipy import sparse  # slow to import

    n, alpha = _resolve(n, 0.0, generations)
    first = sparse.csr_array(
        (np.full(n.size - 1, n[0]), (np.arange(1, n.size), 0 * n[1:])), (n.size, n.size)
    )
    return Plan(n, alpha, keeps=_rows_to_one((first + sparse.diags_array(n.astype(float))).tocsr()))


def several(n, alpha, generations, *, models, across):
    """Models side by side that read each other: `mixture`, with several authors on the web.

    Model i of generation t is entry t models + i of all arrays. Its synthetic samples are written
    by the models of the generation before, by model j with probability across[i, j]; its training
    data are its own batch alone.

    Parameters
    ----------
    n : number, (T+1,) array or function of t
        Samples of each model in generation t.
    alpha : number, (T+1,) array or function of t
        Real share, as in `mixture`.
    generations : int
        T, at least 1; ``plan.generations`` counts models, (T + 1) models - 1.
    models : int, at least 1
    across : (models, models) probabilities by row, or number in [0, 1]
        A number is the chance that a synthetic sample is another model's, split evenly.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim N2.

    Examples
    --------
    >>> plan = several(50, 0.0, 1, models=2, across=0.25)
    >>> plan.reads.toarray()[2:].tolist()
    [[0.75, 0.25, 0.0, 0.0], [0.25, 0.75, 0.0, 0.0]]
    """
    from scipy import sparse  # slow to import

    n, alpha = _resolve(n, alpha, generations)
    models, across = _check.whole("models", models), _check.fraction("across", across)
    if across.ndim == 0:
        if models == 1 and across:
            raise ValueError(f"across must be 0 where models is 1, found {across}")
        others = np.full((models, models), across / max(models - 1, 1))
        across = others - np.diag(np.diag(others)) + (1 - across) * np.eye(models)
    if across.shape != (models, models):
        raise ValueError(f"across must have shape ({models}, {models}), found {across.shape}")
    across = _check.probabilities("across", across)
    reads = sparse.kron(sparse.eye_array(n.size, k=-1), across, format="csr")
    keeps = sparse.eye_array(reads.shape[0], format="csr")
    n, alpha = np.repeat(n, models), np.repeat(alpha, models)
    return Plan(n, alpha, reads=reads, keeps=keeps, models=models)


def finetuned(n, alpha, generations, *, gain):
    """Go on from the last model: phat_t = (1 - gain) phat_{t-1} + gain times the new batch.

    A caricature of fine-tuning: what training does to the model is one number.

    Parameters
    ----------
    n, alpha, generations
        As in `mixture`.
    gain : number, (T+1,) array or function of t
        In [0, 1]; an array must start with 1.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim C1.

    Examples
    --------
    >>> finetuned(100, 0.1, 3, gain=0.2).gain.tolist()
    [1.0, 0.2, 0.2, 0.2]
    """
    n, alpha = _resolve(n, alpha, generations)
    return Plan(n, alpha, gain=resolve_shares(gain, n.size - 1, name="gain"))


def _rows_to_one(matrix):
    """A matrix of counts with each row divided by its sum."""
    from scipy import sparse  # slow to import

    return sparse.diags_array(1 / matrix.sum(axis=1)) @ matrix


def _keep_all(n):
    """The gain n_t / (n_0 + ... + n_t) of a loop that trains on all data so far."""
    return n / np.cumsum(n, dtype=np.float64)


def _check_links(plan, alpha):
    """Check `reads`, `keeps` and `models`, make the first two sparse; the gain to go on with."""
    models = _check.whole("models", plan.models)
    object.__setattr__(plan, "models", models)
    if (alpha[:models] != 1).any() or models > alpha.size:
        raise ValueError(
            f"alpha must be 1 in the first {models} entries, one for each model, found "
            f"{alpha[:models].tolist()}"
        )
    if plan.keeps is not None and plan.gain is not None:
        raise ValueError("gain and keeps exclude each other: the gain is the diagonal of keeps")
    if models > 1 and not (plan.linked and plan.reads is not None and plan.keeps is not None):
        raise ValueError(f"models = {models} needs reads and keeps: see collapse.several")
    if plan.linked and (
        plan.real != "fresh"
        or plan.subsample
        or (plan.real_weight is not None and plan.mixing == "iid")
    ):
        raise ValueError(
            "reads and keeps need fresh real data, batches of known size (no filter) and no "
            f"subsample, found real={plan.real!r}, mixing={plan.mixing!r}, "
            f"subsample={plan.subsample!r}"
        )
    if plan.reads is not None:
        reads = _links("reads", plan.reads, alpha.size, free=alpha == 1, below=1)
        object.__setattr__(plan, "reads", reads)
    if plan.keeps is None:
        return np.ones(alpha.size) if plan.gain is None else plan.gain
    object.__setattr__(plan, "keeps", _links("keeps", plan.keeps, alpha.size))
    return plan.keeps.diagonal()


def _links(name, value, size, *, free=False, below=0):
    """A read-only CSR array whose rows are probabilities on or below the diagonal."""
    from scipy import sparse  # slow to import

    matrix = sparse.csr_array(value if sparse.issparse(value) else _check.real_array(name, value))
    matrix = matrix.astype(np.float64)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    if matrix.shape != (size, size):
        raise ValueError(
            f"{name} must have shape (T + 1, T + 1), ({size}, {size}), found {matrix.shape}"
        )
    _check.fraction(name, matrix.data)
    row, column = matrix.nonzero()
    if (ahead := column > row - below).any():
        where = "before" if below else "up to"
        raise ValueError(
            f"{name}[t] must name what is there {where} t, found {name}[{row[ahead][0]}, "
            f"{column[ahead][0]}] above 0"
        )
    total = np.asarray(matrix.sum(axis=1)).ravel()
    wrong = (abs(total - 1) > _check.PROBABILITY_TOLERANCE) & ~(free & (total == 0))
    if wrong.any():
        t = int(np.argmax(wrong))
        raise ValueError(f"{name}[{t}] must sum to 1 within 1e-09, found {float(total[t])!r}")
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.setflags(write=False)
    return matrix


def _check_subsample(plan, n, gain):
    if plan.real != "fresh" or plan.mixing != "iid" or plan.real_weight is not None:
        raise ValueError(
            "subsample needs fresh real data, iid mixing and no real_weight, found "
            f"real={plan.real!r}, mixing={plan.mixing!r}, real_weight={plan.real_weight!r}"
        )
    wrong = abs(gain / _keep_all(n) - 1) > 1e-12
    if wrong.any():
        t = int(np.argmax(wrong))
        raise ValueError(
            f"gain must be n_t / (n_0 + ... + n_t) where subsample is True, found gain[{t}] = "
            f"{gain[t]}"
        )


def _resolve(n, alpha, generations):
    generations = _check.whole("generations", generations)
    return resolve_sizes(n, generations), resolve_shares(alpha, generations)


def _shares(name, array, length):
    array = _check.fraction(name, array)
    if array.shape != (length,):
        raise ValueError(f"{name} must have the shape of n, ({length},), found {array.shape}")
    if array[0] != 1:
        raise ValueError(f"{name}[0] must be 1: generation 0 is all real; found {array[0]}")
    return array


def _short(array):
    first, last = f"{array[0]:g}", f"{array[-1]:g}"
    if (array == array[0]).all():
        return first
    return f"{first}..{last}" if first != last else f"{first}..{last} (varies)"


# What other modules ask of a plan


def row(matrix, t):
    """The entries of row t of a sparse matrix: columns and values, as lists."""
    part = slice(*matrix.indptr[t : t + 2])
    return matrix.indices[part].tolist(), matrix.data[part].tolist()


def last_use(matrix):
    """The last row that has something in each column; -1 without any."""
    last = np.full(matrix.shape[1], -1)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    last[matrix.indices] = rows  # of several the last stays: rows come in order
    return last


def as_plan(value):
    """`value`, a Plan."""
    if not isinstance(value, Plan):
        raise TypeError(f"plan must be a collapse.Plan, found {value!r}")
    return value


def as_agnostic(value):
    """`value`, a Plan with unlabelled iid mixtures, fresh real data and fits to all its data."""
    as_plan(value)
    if value.linked:
        raise ValueError(f"plan must not say who reads or keeps what, found {value!r}")
    if value.real_weight is not None or (value.real, value.mixing) != ("fresh", "iid"):
        raise ValueError(f"plan must mix fresh real data, iid and without labels, found {value!r}")
    if value.subsample:
        raise ValueError(f"plan must train on all its data (subsample=False), found {value!r}")
    return value


def as_forgetful(value):
    """`value`, an agnostic Plan with gain 1 throughout: `mixture` or `replace`."""
    as_agnostic(value)
    if (value.gain != 1).any():
        raise ValueError(
            "plan must forget the past (gain 1 throughout, as in mixture and replace), "
            f"found {value!r}"
        )
    return value


def as_generation(t, plan):
    """An index into the generations of a plan."""
    as_plan(plan)
    try:
        index = None if isinstance(t, (bool, np.bool_)) else operator.index(t)
    except TypeError:
        index = None
    if index is None:
        raise TypeError(f"t must be a whole number, found {t!r}")
    if not -plan.n.size <= index < plan.n.size:
        raise ValueError(f"t must lie in [{-plan.n.size}, {plan.n.size - 1}], found {t}")
    return index
