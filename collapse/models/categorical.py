"""The next-token model in one context: a probability for each of K tokens."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from collapse import _check
from collapse.metrics import squared_distance
from collapse.models._data import keep, shares

__all__ = ["Categorical"]

HYPERGEOMETRIC_LIMIT = 10**9  # of numpy's sampler


class Tokens(NamedTuple):
    """Data of a Categorical: all that maximum likelihood needs of R samples."""

    frequency: np.ndarray  # (R, K), rows sum to 1, or to 0 without samples
    size: np.ndarray  # (R,), effective number of samples


@dataclass(frozen=True)
class Categorical:
    """K tokens with probabilities theta (R, K), fitted by maximum likelihood: the proportions.

    Parameters
    ----------
    add : float, at least 0
        Add-constant smoothing, (count_k + add) / (n + K add). The smoothed model writes the next
        generation's data, so the smoothing feeds back. 0 is maximum likelihood, for which
        `collapse.exact` holds.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Bakshi and Chakraborty (2026), next-token model; Claims A1-A3, and E6 for ``add > 0``.

    Examples
    --------
    >>> import numpy as np
    >>> model, rng = Categorical(), np.random.default_rng(1)
    >>> tokens = model.sample(np.array([[0.5, 0.5, 0.0]]), np.array([4]), rng)
    >>> model.fit(tokens).tolist()
    [[0.5, 0.5, 0.0]]
    """

    add: float = 0.0

    def __post_init__(self):
        add = _check.number("add", self.add, least=0)
        if add > _check.LARGEST_WHOLE:
            raise ValueError(f"add must be at most 2**53, found {add}")
        object.__setattr__(self, "add", add)

    def sample(self, theta, n, rng):
        """Draw n (R,) tokens from theta (R, K)."""
        off = abs(theta.sum(axis=1) - 1).max()
        if not off <= _check.PROBABILITY_TOLERANCE or theta.min() < 0:
            raise ValueError(f"theta must be probabilities over the last axis, found {theta}")
        counts = rng.multinomial(n, theta)
        # Rounding in the sampler can leave a draw over for the last token. Where that token is
        # impossible the draw goes to the most likely one: a lost token stays lost.
        ghost = (theta[:, -1] == 0) & (counts[:, -1] > 0)
        if ghost.any():
            counts[ghost, theta[ghost].argmax(axis=1)] += counts[ghost, -1]
            counts[ghost, -1] = 0
        size = np.broadcast_to(np.asarray(n, dtype=np.float64), counts.shape[:1])
        return Tokens(counts / np.maximum(size, 1)[:, None], size)

    def sample_mixture(self, theta, target, alpha, n, rng):
        """Draw n tokens from alpha target + (1 - alpha) theta in one multinomial."""
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1], found {alpha}")
        return self.sample(alpha * target + (1 - alpha) * theta, n, rng)

    def pool(self, a, b, share):
        """Weight `share` on b and the rest on a; the sizes combine by Kish's formula."""
        weight_a, weight_b, size = shares(a.size, b.size, share)
        frequency = weight_a[:, None] * a.frequency + weight_b[:, None] * b.frequency
        mass = frequency.sum(axis=1, keepdims=True)  # 1 but for rounding, which must not build up
        return Tokens(frequency / np.where(mass > 0, mass, 1.0), size)

    def fit(self, data, previous=None):
        """The proportions, smoothed if ``add > 0``; `previous` in replications without data."""
        frequency, size = data
        theta = frequency
        if self.add > 0:
            K = frequency.shape[1]
            theta = (frequency * size[:, None] + self.add) / (size + K * self.add)[:, None]
        return keep(previous, theta, size == 0)

    def parameters(self, target):
        """A target given as probabilities (K,), checked."""
        p = _check.probabilities("target", target, ndim=1)
        return p / p.sum()  # within 1e-9 of 1 already; the sampler wants rounding error only

    def empirical(self, data):
        """The law of one draw from the data, (R, K)."""
        return data.frequency

    def subsample(self, data, n, rng):
        """Draw n (R,) of the data without replacement; the data must be unweighted."""
        if data.size.max() >= HYPERGEOMETRIC_LIMIT:
            raise ValueError(
                f"n must add up to less than {HYPERGEOMETRIC_LIMIT:.0e} where data are subsampled, "
                f"found {data.size.max():.0f}"
            )
        exact = data.frequency * data.size[:, None]
        counts = np.rint(exact).astype(np.int64)
        n = _check.whole_array("n", n)
        if n.shape != data.size.shape or (n > counts.sum(axis=1)).any():
            found = f"{_check.short(n)} of {_check.short(counts.sum(axis=1))}"
            raise ValueError(f"n must be one size a replication, at most its data, found {found}")
        if abs(exact - counts).max() > 1e-3:
            raise ValueError("data must be unweighted samples to be subsampled, found weights")
        drawn = [rng.multivariate_hypergeometric(c, m) for c, m in zip(counts, n, strict=True)]
        return Tokens(np.array(drawn) / n[:, None], n.astype(np.float64))

    def default_record(self, target):
        """{"l2": squared distance to the target}."""
        p = self.parameters(target)
        return {"l2": lambda theta: squared_distance(theta, p)}
