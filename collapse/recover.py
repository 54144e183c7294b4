"""Recover the truth, or the share of it in the data, from what a loop leaves behind.

Functions take observations, never a plan: batches, the models that were published, texts. Four
things are assumed throughout: the target p does not move, published models are known exactly, the
synthetic part of a batch is drawn from the model published last and from nothing else, and shares
are fixed beforehand. Each docstring says what a failure of them does.

As a command, on three folders of text files,

    python -m collapse.recover --new DIR --real DIR --written DIR

says which share of the new documents is real.
"""

import argparse
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.stats import beta, binom, chi2, t

from collapse import _check, targets
from collapse.schedules import resolve_shares, resolve_sizes

__all__ = [
    "Share",
    "canary",
    "cross_fit",
    "readout",
    "reuse",
    "score",
    "share",
    "share_of",
    "simplex",
]

GRID = np.linspace(0, 1, 1001) ** 2  # shares tried, closer together where they are small
WRONG_MODEL = 1e-6  # a warning where no share fits and chance would do so more rarely


class Share(NamedTuple):
    """An estimate of a real share with its interval; `p`: of the target, where it is one.

    ``str`` says it in a sentence, and that the data say nothing where every share fits.
    """

    value: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray
    p: np.ndarray | None = None

    def __str__(self):
        if np.ndim(self.value):
            return f"{np.size(self.value)} real shares, {np.min(self.low):.3f} to " + (
                f"{np.max(self.high):.3f} with their intervals"
            )
        if self.low <= 0 and self.high >= 1:
            return "the data say nothing about the real share: every value from 0 to 1 fits"
        return f"real share {self.value:.3f}, from {self.low:.3f} to {self.high:.3f}"


def readout(y, x, n, alpha, *, rho=None, project=True):
    """Exact: ptilde_t = (n_0 y_0 + sum a_s n_s (y_s - (1 - a_s) x_{s-1})) / L_t, the read-out.

    L_t = n_0 + sum a_s^2 n_s. Unbiased, and E ||ptilde_t - p||^2 <= 1 / L_t, for every rule of
    publishing that depends on the past alone; its projection on the simplex is never further from
    p. A loop that collapses can be read out all the same.

    Parameters
    ----------
    y : (T+1, ..., K) probabilities
        Proportions in the batches. Batch 0 must be real: this cannot be seen from the data, and
        where it is not the result tends to a mixture of p and batch 0.
    x : (T, ..., K) probabilities
        ``x[t - 1]`` is the model that wrote the synthetic part of batch t, exactly as it was
        published (not a sample of it).
    n : whole number or (T+1,) of them, at least 1
        Sizes of the batches.
    alpha : float in [0, 1] or (T+1,) array
        Real shares, ``alpha[0]`` being 1. A share that is off by d biases batch t's part by
        d / alpha_t (p - x_{t-1}).
    rho : (T,) in [0, 1], optional
        Inflation of the published models, `collapse.exact.inflation(plan)[:-1]` where they are
        those of a plan. Terms then weigh a_t^2 n_t / (1 - (1 - a_t)^2 rho_{t-1}): the best
        weights fixed beforehand where the models are unbiased, and better than the default ones
        where rho is not small (poor first batches, few real samples). None: a_t^2 n_t.
    project : bool
        Whether the result is projected on the simplex, and can be published; it is then biased.

    Returns
    -------
    (T+1, ..., K) float64
        Estimates of p from batches 0..t. Sum to 1; with ``project=False`` maybe negative.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim H3.

    Examples
    --------
    >>> y, x = [[0.5, 0.5], [1.0, 0.0]], [[1.0, 0.0]]  # two batches, one model published
    >>> readout(y, x, [2, 6], 0.5).round(3).tolist()
    [[0.5, 0.5], [0.714, 0.286]]
    """
    y, x, n = _history(y, x, n)
    alpha = resolve_shares(alpha, len(x))
    if callable(project) or not isinstance(project, (bool, np.bool_)):
        raise TypeError(f"project must be True or False, found {project!r}")
    variance = np.ones(len(x))  # of one draw for batch t, in units of h, or its bound
    if rho is not None:
        rho = _check.fraction("rho", rho)
        if rho.shape != variance.shape:
            raise ValueError(f"rho must have shape {variance.shape}, as x has, found {rho.shape}")
        variance = 1 - (1 - alpha[1:]) ** 2 * rho
    weight = np.divide(n[1:], variance, out=np.zeros(len(x)), where=alpha[1:] > 0)
    weight = np.concatenate([n[:1], weight])
    before = np.concatenate([np.zeros_like(y[:1]), x])
    found = np.cumsum(_along(alpha * weight, y) * (y - _along(1 - alpha, y) * before), axis=0)
    found /= _along(np.cumsum(alpha**2 * weight), y)
    return simplex(found) if project else found


def simplex(v):
    """Exact: the point of the probability simplex that is nearest to v (Euclidean projection).

    max(v - s, 0) with the s that makes the sum 1.

    Parameters
    ----------
    v : (..., K) real numbers

    Returns
    -------
    (..., K) float64

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim H3.

    Examples
    --------
    >>> simplex([0.6, 0.6, -0.2]).tolist()
    [0.5, 0.5, 0.0]
    """
    v = _check.real_array("v", v)
    if v.ndim == 0 or v.shape[-1] == 0:
        raise ValueError(f"v must have tokens on its last axis, found shape {v.shape}")
    v = v - v.max(axis=-1, keepdims=True)  # moves all alike; no overflow, no cancellation
    down = -np.sort(-v, axis=-1)
    shift = (np.cumsum(down, axis=-1) - 1) / np.arange(1, v.shape[-1] + 1)
    last = (down > shift).sum(axis=-1, keepdims=True) - 1
    return np.maximum(v - np.take_along_axis(shift, last, axis=-1), 0.0)


def share(y, x, n, *, level=0.95):
    """Gaussian limit: a constant real share alpha, and the target, from a loop's own history.

    Maximises the restricted likelihood -d_w/2 log(n_0 + a^2 N) - Q(a)/2, N = n_1 + ... + n_T,
    where Q(a) is the least n_0 |y_0 - p|^2 + sum n_t |y_t - (1 - a) x_{t-1} - a p|^2 over p, with
    weights w = 1 / (y_0 + 3/n_0), and d_w = sum w ybar (1 - ybar), ybar the pooled proportions.
    Interval: likelihood ratio, divided by the dispersion (at least 1).

    Parameters
    ----------
    y : (T+1, ..., K) probabilities
        Proportions in the batches, batch 0 real. That it is cannot be seen.
    x : (T, ..., K) probabilities
        Models published before batches 1..T, exactly; any rule of publishing.
    n : whole number or (T+1,) of them, at least 1
    level : float in (0, 1)

    Returns
    -------
    Share
        `value`, `low` and `high` of shape (...), `p` (..., K), the read-out at `value`, projected.
        Intervals are for one share each. Their coverage, in simulation, is .91 and more at
        level .95; nearly 1 where most tokens are seen less than once a batch.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Notes
    -----
    Not exact: the counts of rare tokens are no Gaussians, and a model far from p has less noise
    than the weights say. The share must be constant and above 0: without any fresh data a loop
    collapses and its noise with it. A target that drifts makes data look written (Claim H10).
    Batch 0, or two models that differ, make share and target identifiable (H1); models near p
    tell little of the share (H6). Without a real batch 0 there is the joint likelihood (H7).

    Source: Claims H1, H4, H5, H6.

    Examples
    --------
    >>> p, rng = np.full(20, 0.05), np.random.default_rng(1)
    >>> y = [rng.multinomial(500, p) / 500]
    >>> for _ in range(40):
    ...     y.append(rng.multinomial(500, 0.3 * p + 0.7 * y[-1]) / 500)
    >>> print(share(y, y[:-1], 500))
    real share 0.311, from 0.248 to 0.374
    """
    y, x, n = _history(y, x, n)
    level = _level(level)
    if y.shape[-1] < 2:
        raise ValueError(f"y must have two tokens or more on its last axis, found {y.shape}")
    first, size, start = y[0], _along(n[1:], y), float(n[0])
    mean = (_along(n, y) * y).sum(axis=0) / n.sum()
    w = 1 / (first + 3 / start)

    def dot(a, b):
        return (w * a * b).sum(axis=-1)

    step, lead = y[1:] - x, x - first  # y_t - (1 - a) x_{t-1} - y_0 = step + a lead
    A, B, C = (dot(size * a, b).sum(axis=0) for a, b in ((step, step), (step, lead), (lead, lead)))
    S, M = (size * step).sum(axis=0), (size * lead).sum(axis=0)
    SS, SM, MM, d, N = dot(S, S), dot(S, M), dot(M, M), dot(mean, 1 - mean), float(n[1:].sum())

    def squares(a):  # Q(a), a rational function
        return A + 2 * a * B + a**2 * (C - (SS + 2 * a * SM + a**2 * MM) / (start + a**2 * N))

    def likelihood(a):
        return -(d * np.log(start + a**2 * N) + squares(a)) / 2

    grid = _along(GRID, y[..., 0])
    height = likelihood(grid)
    best = height.argmax(axis=0)
    value = _peak(likelihood, GRID[np.maximum(best - 1, 0)], GRID[np.minimum(best + 1, 1000)])
    p = first + _last_axis(value / (start + value**2 * N)) * (S + _last_axis(value) * M)
    pull = w * (p - x)  # the score of the share is sum n_t <noise_t, pull_t>
    variance = (pull**2 * mean).sum(axis=-1) - (pull * mean).sum(axis=-1) ** 2
    expected, information = (size[..., 0] * variance).sum(axis=0), dot(size * pull, (p - x) / w)
    with np.errstate(divide="ignore", invalid="ignore"):  # no token but one: no information
        ratio = expected / information.sum(axis=0)
        spread = np.fmax(1.0, np.fmax(squares(value) / (d * len(x)), ratio))
    limit = likelihood(value) - spread * chi2.ppf(level, 1) / 2
    inside = height >= limit
    some = inside.any(axis=0)  # of the grid
    left = np.where(some, inside.argmax(axis=0), best)
    right = np.where(some, 1000 - inside[::-1].argmax(axis=0), best)

    def edge(outside, end):
        end, outside = np.where(some, GRID[end], value), GRID[outside]
        for _ in range(50):
            middle = (end + outside) / 2
            within = likelihood(middle) >= limit
            end, outside = np.where(within, middle, end), np.where(within, outside, middle)
        return end

    low, high = edge(np.maximum(left - 1, 0), left), edge(np.minimum(right + 1, 1000), right)
    value = np.where(d > 0, value, np.nan)
    return Share(*(part[()] for part in (value, low, high)), simplex(p))


def reuse(y, *, permutations=999, rng=None):
    """Exact test: p-value of "the batches are all real" (alpha = 1), from their order alone.

    Real batches of one size are exchangeable. The statistic, sum <y_t - ybar, y_{t-1} - ybar> with
    coordinates weighted by 1 / (ybar_k + 3/N), N the draws in all, counted by the least share seen,
    is large where a batch resembles the one before it, as where each is written by a model of the
    last. A part that one and the same model writes is not seen. Of the permuted orders the p-value
    is the part that is at least as large, the order as it was included: at most u with chance at
    most u, for every K, T and n.

    Parameters
    ----------
    y : (T+1, ..., K) probabilities, T at least 2
        Proportions in batches of equal sizes, each drawn from the target independently where
        nothing is reused. Unequal sizes cannot be seen here, and make the test wrong; so does a
        target that moves, which looks like reuse.
    permutations : int, at least 19
        The least p-value is 1 / (permutations + 1), and not below 2 / (T + 1)!.
    rng : None, int or numpy.random.Generator
        One set of permutations serves all leading axes.

    Returns
    -------
    (...) float64 in (0, 1]

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim H8.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> y = [rng.multinomial(500, [0.1] * 10) / 500]
    >>> for _ in range(20):
    ...     y.append(rng.multinomial(500, 0.05 + 0.5 * y[-1]) / 500)
    >>> float(reuse(y, rng=1))
    0.001
    """
    y = _check.probabilities("y", y)
    if y.ndim < 2 or len(y) < 3:
        raise ValueError(f"y must hold three batches or more, (T + 1, ..., K), found {y.shape}")
    permutations, rng = _check.whole("permutations", permutations, least=19), _check.generator(rng)
    mean = y.mean(axis=0)
    least = y.min(axis=(0, -1), where=y > 0, initial=1.0)  # stands for one sample, 1 / n
    off = np.moveaxis((y - mean) / np.sqrt(mean + _last_axis(3 * least / len(y))), 0, -2)
    gram = off @ np.swapaxes(off, -1, -2)  # all that the statistic asks for
    found = np.trace(gram, offset=1, axis1=-2, axis2=-1)
    tie = 1e-9 * np.trace(gram, axis1=-2, axis2=-1)  # equal but for rounding: counts as larger
    larger = np.ones(found.shape)
    for _ in range(permutations):
        order = rng.permutation(len(y))
        larger += gram[..., order[1:], order[:-1]].sum(axis=-1) >= found - tie
    return larger[()] / (permutations + 1)


def share_of(new, real, written, *, level=0.95):
    """Gaussian limit: the real share of one batch, (f_new - f_written) / (f_real - f_written).

    f are means of a score of each document, any number that was fixed before these documents were
    read. The interval is Fieller's, cut to [0, 1]: the shares a for which
    f_new - a f_real - (1 - a) f_written is within its standard error times a quantile of
    Student's t (degrees of freedom: the smallest set less one). It is valid also where real and
    written text hardly differ; it then tends to be all of [0, 1].

    Parameters
    ----------
    new : (n,) real numbers, n at least 2
        Scores of the documents in question. Each is real or written; the share is one of
        documents. It is one of tokens where scores are of single tokens, or averages over the
        tokens of documents of one length (Claim H9).
    real, written : (m,), (s,) real numbers, at least 2 each
        Scores of held-out real documents, and of fresh output of the model that may have written
        the rest. None of them may have been used to make the score (`cross_fit` takes care of it).
    level : float in (0, 1)

    Returns
    -------
    Share

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted; where two of the three are the
        same object or share memory.

    Warns
    -----
    RuntimeWarning
        Where no share fits, by far (chance 1e-6): the batch is no mixture of the two.

    Source: Forman (2008), the adjusted count; Fieller (1954); Claim H9.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> real, written = rng.normal(1, 1, (2, 1000)), rng.normal(0, 1, (2, 1000))
    >>> new = np.concatenate([real[0, :300], written[0, :700]])
    >>> print(share_of(new, real[1], written[1]))
    real share 0.296, from 0.218 to 0.371
    """
    _apart(new=new, real=real, written=written)
    sets = {"new": new, "real": real, "written": written}
    sets = {name: _check.real_array(name, value) for name, value in sets.items()}
    for name, value in sets.items():
        if value.ndim != 1 or value.size < 2:
            raise ValueError(f"{name} must be two scores or more, (n,), found shape {value.shape}")
    middle, size = sets["written"].mean(), max(abs(value).max() for value in sets.values()) or 1.0
    sets = {name: (value - middle) / size for name, value in sets.items()}  # no cancellation
    freedom = min(value.size for value in sets.values()) - 1
    quantile = t.isf((1 - _level(level)) / 2, freedom)
    f, f_real, f_written = (value.mean() for value in sets.values())
    v, v_real, v_written = (value.var(ddof=1) / value.size for value in sets.values())
    g, e = f - f_written, f_real - f_written
    # where (g - a e)^2 <= quantile^2 (v + a^2 v_real + (1 - a)^2 v_written)
    square = e**2 - quantile**2 * (v_real + v_written)
    half, rest = quantile**2 * v_written - g * e, g**2 - quantile**2 * (v + v_written)
    inside = [a for a in (0.0, 1.0) if square * a**2 + 2 * half * a + rest <= 0]
    if square:
        root = np.sqrt(max(half**2 - square * rest, 0.0))
        inside += [a for a in ((-half - root) / square, (-half + root) / square) if 0 <= a <= 1]
    elif half:
        inside += [a for a in (-rest / (2 * half),) if 0 <= a <= 1]
    value = float(np.clip(g / e, 0.0, 1.0)) if e else np.nan
    if not inside:  # every share that fits is outside [0, 1]: the end that is nearer
        a = value if e else 0.5
        error = np.sqrt(v + a**2 * v_real + (1 - a) ** 2 * v_written)
        if abs(g - a * e) > error * t.isf(WRONG_MODEL / 2, freedom):
            _warn("new must be a mixture of real and written, found mean scores beyond either's")
        inside = [a] if e else [0.0, 1.0]
    return Share(value, float(min(inside)), float(max(inside)))


def score(real, written):
    """Scores of tokens, f = (p - x) / (p + x), near the best to tell the share of real text.

    p and x are proportions in real and in written text; (1/N_real + 1/N_written) / 2 is added
    below, so that rare tokens count less and unseen ones nothing. For single tokens the best score
    at a share a is (p - x) / (a p + (1 - a) x); this one has some tenth more variance at most for
    a from .2 to .8. For documents take the mean over their tokens, or
    ``np.tanh(counts @ np.arctanh(f))``: the same formula for whole documents, were their tokens
    independent.

    Parameters
    ----------
    real, written : (K,) or (documents, K) counts, at least 0, dense or sparse
        Texts that `share_of` does not read again.

    Returns
    -------
    (K,) float64 in (-1, 1)

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim H9.

    Examples
    --------
    >>> score([8, 1, 1], [1, 8, 1]).round(9).tolist()
    [0.7, -0.7, 0.0]
    """
    _apart(real=real, written=written)
    real, written = (
        _counts(name, part if sparse.issparse(part) or np.ndim(part) != 1 else [part])
        for name, part in (("real", real), ("written", written))
    )
    if real.shape[1] != written.shape[1]:
        found = f"{real.shape[1]} and {written.shape[1]}"
        raise ValueError(f"real and written must have the same tokens, found {found} of them")
    real, written = (np.asarray(part.sum(axis=0)).ravel() for part in (real, written))
    p, x, few = real / real.sum(), written / written.sum(), 1 / real.sum() + 1 / written.sum()
    return (p - x) / (p + x + few / 2)


def cross_fit(new, real, written, *, classifier=None, folds=5, level=0.95):
    """Gaussian limit: the real share of one batch of documents, from the documents themselves.

    Real and written documents are split into folds, row i into fold i modulo `folds`. A score made
    from the other folds is read on each; the new documents get the mean of all scores. So no
    document is read by a score that it helped to make, and `share_of` has an honest interval.

    Parameters
    ----------
    new, real, written : (documents, K), dense or sparse
        One document a row, `folds` rows or more: counts of tokens; with a classifier whatever it
        reads. Real ones are held out from the model that may have written the rest; written ones
        its fresh output. A document must not stand in two sets, nor twice in one: where it does
        the interval is too narrow.
    classifier : scikit-learn classifier, optional
        Not fitted; a copy is, with the classes True (real) and False. Its `predict_proba`, or
        where it has none its `decision_function`, is the score. By default the score of counts,
        ``np.tanh(counts @ np.arctanh(score(real, written)))``; where no entry is but 0 or 1,
        which token occurs, the same formula for documents whose tokens occur independently: then
        a token that does not occur says something, too.
    folds : int, at least 2
    level : float in (0, 1)

    Returns
    -------
    Share
        Of documents, each of which is real or written as a whole.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Warns
    -----
    RuntimeWarning
        As `share_of`.

    Source: Claim H9.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> law, other = [0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]
    >>> real, written = rng.multinomial(9, law, 500), rng.multinomial(9, other, 500)
    >>> new = np.concatenate([rng.multinomial(9, law, 200), rng.multinomial(9, other, 600)])
    >>> print(cross_fit(new, real, written))
    real share 0.247, from 0.207 to 0.286
    """
    _apart(new=new, real=real, written=written)
    new, real, written = (
        _counts(name, rows) if classifier is None else _rows(name, rows)
        for name, rows in (("new", new), ("real", real), ("written", written))
    )
    folds, least = _check.whole("folds", folds, least=2), min(real.shape[0], written.shape[0])
    if least < folds:
        raise ValueError(f"folds must be at most the {least} documents of a set, found {folds}")
    if not new.shape[1] == real.shape[1] == written.shape[1]:
        found = [part.shape[1] for part in (new, real, written)]
        raise ValueError(f"new, real and written must have the same columns, found {found}")
    occurring = all(
        np.isin(part.data if sparse.issparse(part) else part, (0, 1)).all()
        for part in (new, real, written)
    )
    scores = [np.zeros(part.shape[0]) for part in (new, real, written)]
    folded = [np.arange(part.shape[0]) % folds for part in (real, written)]
    for fold in range(folds):
        held = [place == fold for place in folded]
        f = _fitted(classifier, real[~held[0]], written[~held[1]], occurring)
        scores[0] += f(new) / folds
        scores[1][held[0]], scores[2][held[1]] = f(real[held[0]]), f(written[held[1]])
    return share_of(*scores, level=level)


def _fitted(classifier, real, written, occurring):
    """A score of documents, made from these."""
    if classifier is None and occurring:
        few = 1 / real.shape[0] + 1 / written.shape[0]
        p, x = ((part.mean(axis=0) + few / 4) / (1 + few / 2) for part in (real, written))
        absent = (np.log1p(-p) - np.log1p(-x)) / 2
        odds = (np.log(p) - np.log(x)) / 2 - absent
        return lambda rows: np.tanh(rows @ odds + absent.sum())
    if classifier is None:
        odds = np.arctanh(score(real, written))
        return lambda rows: np.tanh(rows @ odds)
    from sklearn.base import clone

    stack = sparse.vstack if sparse.issparse(real) else np.concatenate
    made = clone(classifier)
    made.fit(stack([real, written]), np.arange(real.shape[0] + written.shape[0]) < real.shape[0])
    if hasattr(made, "predict_proba"):
        return lambda rows: made.predict_proba(rows)[:, 1]
    return made.decision_function


def canary(count, n, rate, *, level=0.95):
    """Exact: the real share of n draws, from a mark that only the model writes.

    The model writes the mark with probability `rate`, real text never. A draw carries it with
    probability (1 - alpha) rate, so alpha = 1 - count / (n rate); the interval is Clopper and
    Pearson's, with coverage `level` or more. Needs no p, and a target that moves does no harm.

    Parameters
    ----------
    count : int, 0 to n
        Draws that carry the mark.
    n : int, at least 1
        Independent draws: tokens, or documents with a mark each.
    rate : float in (0, 1]
        The probability with which it is published. If real text carries it too, or copies of
        marked text are called real, the share comes out too small.
    level : float in (0, 1)

    Returns
    -------
    Share

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Warns
    -----
    RuntimeWarning
        Where the mark is seen far more often than it can be written (chance 1e-6).

    Source: Clopper and Pearson (1934); Claim H10.

    Examples
    --------
    >>> print(canary(70, 10_000, 0.01))
    real share 0.300, from 0.116 to 0.454
    """
    n, count = _check.whole("n", n), _check.whole("count", count, least=0)
    rate, tail = _check.number("rate", rate, above=0), (1 - _level(level)) / 2
    if rate > 1:
        raise ValueError(f"rate must lie in (0, 1], found {rate}")
    if count > n:
        raise ValueError(f"count must be at most n = {n}, found {count}")
    if binom.sf(count - 1, n, rate) < WRONG_MODEL:
        _warn(f"rate must be that of the mark in written text, found {rate:g} and {count} of {n}")
    least = beta.ppf(tail, count, n - count + 1) if count else 0.0
    most = beta.isf(tail, count + 1, n - count) if count < n else 1.0
    return Share(*(float(max(1 - marked / rate, 0.0)) for marked in (count / n, most, least)))


def _history(y, x, n):
    y, x = _check.probabilities("y", y), _check.probabilities("x", x)
    if y.ndim < 2 or len(y) < 2:
        raise ValueError(f"y must hold two batches or more, (T + 1, ..., K), found {y.shape}")
    if x.shape != (len(y) - 1, *y.shape[1:]):
        raise ValueError(
            f"x must hold one model less than y batches, {(len(y) - 1, *y.shape[1:])}: what was "
            f"published before batches 1..T, found {x.shape}"
        )
    return y, x, resolve_sizes(n, len(x))


def _along(values, like):
    """One value for each step of the first axis."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def _last_axis(values):
    return np.asarray(values)[..., None]


def _peak(f, low, high):
    """Where f is largest between low and high, elementwise, where it rises and then falls."""
    for _ in range(60):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        rises = f(a) < f(b)
        low, high = np.where(rises, a, low), np.where(rises, high, b)
    return (low + high) / 2


def _level(level):
    if not 0 < _check.number("level", level) < 1:
        raise ValueError(f"level must lie in (0, 1), found {level}")
    return float(level)


def _warn(message):
    warnings.warn(f"{message} (chance below {WRONG_MODEL:g})", RuntimeWarning, stacklevel=3)


def _apart(**sets):
    """Refuse data that stand for two things at once."""
    names = list(sets)
    for i, one in enumerate(names):
        for other in names[:i]:
            a, b = sets[one], sets[other]
            if a is b or (
                isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.shares_memory(a, b)
            ):
                raise ValueError(
                    f"{other} and {one} must be different documents, found the same object: what "
                    "is read twice makes an interval too narrow; split the documents first"
                )


def _rows(name, rows):
    """Documents by row, a CSR array or a dense one."""
    if sparse.issparse(rows):
        rows = sparse.csr_array(rows)
        _check.real_array(name, rows.data)
    else:
        rows = _check.real_array(name, rows)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"{name} must be documents by tokens, found shape {rows.shape}")
    return rows


def _counts(name, rows):
    rows = _rows(name, rows)
    data = rows.data if sparse.issparse(rows) else rows
    if data.size and data.min() < 0:
        raise ValueError(f"{name} must be counts, at least 0, found {data.min():g}")
    if not data.sum():
        raise ValueError(f"{name} must have a token in it, found none")
    return rows


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m collapse.recover",
        description="Which share of the new documents is real: a sentence, with its interval.",
        epilog="Real documents must not have trained the model that may have written the rest; "
        "written ones are its fresh output. A document must not stand in two folders.",
    )
    for name, what in (
        ("new", "documents, some real, some written"),
        ("real", "documents that are certainly real"),
        ("written", "documents that the model wrote"),
    ):
        parser.add_argument(f"--{name}", required=True, metavar="DIR", help=f"{what}: .txt, .md")
    parser.add_argument("--by", choices=list(targets.DOCUMENTS), default="file", help="a document")
    parser.add_argument("--tokens", choices=["word", "character", "pairs"], default="word")
    parser.add_argument("--level", type=float, default=0.95, help="of the interval")
    given = parser.parse_args(arguments)
    names = ("new", "real", "written")
    try:
        files = [_text_files(name, getattr(given, name)) for name in names]
        documents = [targets.paragraphs(part, by=given.by)[0] for part in files]
        if given.tokens == "pairs":
            tokens = _pairs(documents)
        else:
            tokens = [_tokens(targets.text(part, by=given.by, cut=given.tokens)) for part in files]
        for i, name in enumerate(names):
            print(f"{name:8}{len(documents[i]):7,} documents,{sum(map(len, tokens[i])):10,} tokens")
        twice = len(set(documents[0]) & set(documents[1] + documents[2]))
        twice += len(set(documents[1]) & set(documents[2]))
        if twice:
            print(f"{twice} documents stand in two folders: copies make the interval too narrow")
        print(cross_fit(*_occurring(tokens), level=given.level))
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _text_files(name, folder):
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix in (".txt", ".md"))
    if not found:
        raise ValueError(
            f"--{name} must be a folder with .txt or .md files, found none in {folder}"
        )
    return found


def _tokens(text):
    """A list of tokens for each document."""
    ends = np.flatnonzero(text.stream == 0)
    return [
        [text.tokens[token] for token in part if token]
        for part in np.split(text.stream, ends[:-1] + 1)
    ]


def _pairs(documents, vocabulary=2000):
    """Byte-pair tokens, learned on all documents alike."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, initial_alphabet=tokenizer.pre_tokenizer.alphabet(),
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator([text for part in documents for text in part], trainer)
    return [[tokenizer.encode(text).ids for text in part] for part in documents]


def _occurring(tokens):
    """For each set its documents by tokens, over one vocabulary: 1 where a token occurs."""
    number = {}
    sets = []
    for documents in tokens:
        columns = [
            [number.setdefault(token, len(number)) for token in dict.fromkeys(d)] for d in documents
        ]
        sets.append((np.concatenate(columns), np.cumsum([0, *map(len, columns)])))
    return [
        sparse.csr_array((np.ones(len(columns)), columns, ends), (len(ends) - 1, len(number)))
        for columns, ends in sets
    ]


if __name__ == "__main__":
    main()
