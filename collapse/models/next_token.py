"""The next-token model: text written token by token, each token given the last few.

A gram is a context, the last `order` tokens, and the token that follows. It is one whole number,
context K + token, and so are the grams of R replications. Data are the grams that occur, sorted,
with weights: memory grows with the text, never with the K^(order + 1) grams there could be.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from collapse import _check
from collapse.models._data import shares
from collapse.targets import Text

__all__ = ["NextToken"]

BLOCK = 2**20  # numbers at once where a model is held against a text
STOP = 0  # id of the end mark
# Tokens of a document that nobody cuts. Where real ones have at most LONGEST / 32, a longer one
# comes up about once in e^32 = 8e13: lengths of written documents have geometric tails.
LONGEST = 100_000
OPEN = 2**27  # tokens in all such documents that have no end yet: some gibibytes


@dataclass(frozen=True, eq=False)
class Space:
    """What grams are made of. Shorter contexts, for backoff, are numbered after the full ones."""

    K: int
    contexts: int  # K^order in a text; any number where contexts are only numbers
    order: int
    tokens: tuple | None = None  # the vocabulary, in a text
    law: tuple | None = None  # contexts (c,) and probabilities (c,) where their law is fixed

    def first(self, level):
        """Number of the first context of `level` tokens."""
        if level == self.order:
            return 0
        return self.contexts + sum(self.K**j for j in range(level + 1, self.order))

    @property
    def width(self):
        """Contexts of one replication, shorter ones included."""
        return self.first(0) + 1

    @property
    def size(self):
        """Grams of one replication."""
        return self.width * self.K

    def check(self, R=1):
        """Refuse grams that do not fit into 64 bits."""
        if self.size * R >= 2**63:
            raise ValueError(
                f"order must be smaller, or the vocabulary (k of the text): the grams of R "
                f"replications, R K^(order + 1), must number less than 2**63, found order "
                f"{self.order}, K = {self.K}, R = {R}"
            )


class Grams(NamedTuple):
    """Data of a NextToken: all that maximum likelihood needs of a text."""

    size: np.ndarray  # (R,), effective number of samples: documents or tokens
    key: np.ndarray  # (G,), replication * space.size + gram; sorted, distinct
    weight: np.ndarray  # (G,), positive; occurrences per sample
    space: Space


@dataclass(frozen=True, eq=False)
class Table:
    """Parameters of a NextToken: the rows of the contexts that were seen, R replications."""

    space: Space
    grams: np.ndarray  # (R,), distinct grams in the data fitted
    key: np.ndarray  # (G,), as in Grams
    p: np.ndarray  # (G,), positive; sums to 1 over a row
    row: np.ndarray  # (Q,), replication * space.width + context; sorted, distinct
    start: np.ndarray  # (Q + 1,), where the row begins in key and p
    upto: np.ndarray  # (G,), number of the row + the row's probability up to this token

    @property
    def token(self):
        """(G,), the token that follows."""
        return self.key % self.space.K

    def reweighted(self, weight):
        """The same rows with other weights (G,); tokens without weight go."""
        return _rows(self.space, self.grams, self.key, weight)

    def probability(self, other):
        """P(token | context) here, one replication, of every gram of another model."""
        context = other.key // self.space.K % self.space.width
        return _p(self, np.zeros_like(context), context, other.token)


@dataclass(frozen=True)
class NextToken:
    """An n-gram model: P(token | the last `order` tokens), fitted by maximum likelihood.

    A document starts from `order` end marks and is over with the next one. The model writes its
    own contexts, or gets them from a fixed law.

    Parameters
    ----------
    order : int, at least 1
        Tokens the next one depends on.
    contexts : "own" or "fixed"
        "own": the model writes documents token by token. "fixed": a sample is a context from a
        fixed law, which travels with data and model and is never learned, and one token after it.
    unseen : "previous", "backoff" or "uniform"
        The row of a context the data do not hold: its row in the previous model, before
        generation 0 uniform; the row of the context without its first token, from the same data,
        at last the token frequencies; uniform over the vocabulary.
    unit : "documents" or "tokens"
        What n counts. "tokens": documents one after another, end marks included, cut after n
        tokens; needed where contexts are "fixed".

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Bakshi and Chakraborty (2026), next-token model; Claim F1 where contexts are fixed,
    F2 where the model writes its own.

    Examples
    --------
    >>> import numpy as np
    >>> from collapse import replace, simulate
    >>> text = Text(("<end>", "a", "b"), np.array([1, 2, 0, 1, 1, 0]), "two documents")
    >>> model = NextToken()
    >>> model.rows(model.read(text), 1).round(3).tolist()  # after "a": the end, a, b
    [[0.333, 0.333, 0.333]]
    >>> simulate(model, text, replace(10, 3), replications=2, rng=1).values["grams"].shape
    (4, 2)
    """

    order: int = 1
    contexts: str = field(default="own", kw_only=True)
    unseen: str = field(default="previous", kw_only=True)
    unit: str = field(default="documents", kw_only=True)

    def __post_init__(self):
        object.__setattr__(self, "order", _check.whole("order", self.order))
        if self.order > 61:  # even two tokens make 2**62 contexts
            raise ValueError(f"order must be at most 61, found {self.order}")
        _check.option("contexts", self.contexts, ("own", "fixed"))
        _check.option("unseen", self.unseen, ("previous", "backoff", "uniform"))
        _check.option("unit", self.unit, ("documents", "tokens"))
        if self.contexts == "fixed" and self.unit != "tokens":
            raise ValueError(
                "unit must be 'tokens' where contexts='fixed', a sample is one token: give "
                "unit='tokens', found 'documents'"
            )

    @property
    def stores_samples(self):
        """Data grow with n: where n counts tokens, the engine can keep memory bounded."""
        return self.unit == "tokens"

    def sample(self, theta, n, rng):
        """Write n (R,) documents or tokens; theta of one replication serves any R."""
        self._check_theta(theta)
        n = _check.whole_array("n", n, least=0)
        if n.ndim != 1 or theta.grams.size not in (1, n.size):
            found = f"shape {n.shape} for {theta.grams.size} replications"
            raise ValueError(f"n must be one size a replication, found {found}")
        space = theta.space
        space.check(n.size)
        if self.contexts == "fixed":
            owner = np.repeat(np.arange(n.size), n)
            context = _contexts(space.law, owner.size, rng)
            gram = context * space.K + _draw(theta, owner, context, rng)
        elif self.unit == "documents":
            document, gram = _documents(theta, n, rng)
            owner = np.repeat(np.arange(n.size), n)[document]
        else:
            owner, gram = _stream(theta, n, rng)
        return _count(space, owner, gram, n)

    def pool(self, a, b, share):
        """Weight `share` on b and the rest on a; the sizes combine by Kish's formula."""
        *weights, size = shares(a.size, b.size, share)
        parts = [
            part.weight * weight[part.key // a.space.size]
            for part, weight in zip((a, b), weights, strict=True)
        ]
        key, weight = _merge(np.concatenate([a.key, b.key]), np.concatenate(parts))
        return Grams(size, key, weight, a.space)

    def fit(self, data, previous=None):
        """Each row its proportions; `previous` in replications without data."""
        space, key, weight = data.space, data.key, data.weight
        lacking = data.size == 0
        if lacking.any() and previous is None:
            raise ValueError("data must hold at least one sample where there is no previous")
        grams = np.bincount(key // space.size, minlength=lacking.size)
        if self.unseen == "backoff":
            key, weight = _with_shorter(space, key, weight)
        if previous is not None:
            kept = lacking[previous.row // space.width]
            if self.unseen == "previous":
                kept |= np.isin(previous.row, key // space.K, invert=True)
            kept = np.repeat(kept, np.diff(previous.start))
            key = np.concatenate([key, previous.key[kept]])
            weight = np.concatenate([weight, previous.p[kept]])
            grams = np.where(lacking, previous.grams, grams)
        return _rows(space, grams, key, weight)

    def source(self, target):
        """What real samples are drawn from.

        Parameters
        ----------
        target
            A `Text`: its documents, drawn with replacement, of at most 3,125 tokens where n counts
            documents (where contexts are fixed, its contexts and rows); what `read` gives; or,
            where contexts are fixed and order is 1, a pair: the law of the contexts (C,) and the
            rows (C, K), probabilities.
        """
        if isinstance(target, Text) and self.contexts == "own":
            return Documents(self, target)
        return Model(self, self._parameters(target))

    def default_record(self, target):
        """{"grams": distinct grams in the data, "vocabulary": share of the words still reachable}.

        Where n counts tokens the cut can leave the model one context more. Where contexts are
        fixed {"l2": sum over contexts of their probability times the squared distance of rows}.
        """
        if self.contexts == "own":
            words = self.words(self._parameters(target))[0]
            return {
                "grams": lambda theta: theta.grams,
                "vocabulary": lambda theta: self.words(theta) / words,
            }
        truth = self._parameters(target)
        space = truth.space
        context, pi = space.law
        row = _find(truth, np.zeros_like(context), context)
        known = row >= 0  # the others are uniform: norm and product with any row are 1 / K
        start, length = truth.start[row[known]], np.diff(truth.start)[row[known]]
        place = _inside(start, length)
        where = np.repeat(context[known], length), truth.key[place] % space.K
        weight = np.repeat(pi[known], length) * truth.p[place]
        constant = weight @ truth.p[place] - pi[~known].sum() / space.K

        def l2(theta):
            product = _sum(theta, weight, _p, *where)
            return _sum(theta, pi, _norm, context) - 2 * product + constant

        return {"l2": l2}

    def read(self, text):
        """The model of a whole text, one replication.

        Parameters
        ----------
        text : Text

        Returns
        -------
        theta

        Raises
        ------
        TypeError, ValueError
            Naming the argument, the value found and the value wanted.

        Examples
        --------
        >>> text = Text(("<end>", "a"), np.array([1, 1, 1, 0]), "one document")
        >>> NextToken().read(text).p.round(3).tolist()  # start: a; after a: end or a
        [1.0, 0.333, 0.667]
        """
        space, gram = _grams(text, self.order)
        if self.contexts == "fixed":
            context, count = np.unique(gram // space.K, return_counts=True)
            space = replace(space, law=(context, count / gram.size))
        n = gram.size if self.unit == "tokens" else np.count_nonzero(text.stream == STOP)
        return self.fit(_count(space, np.zeros_like(gram), gram, np.array([n])))

    def write(self, theta, documents, *, rng=None):
        """Documents of the model's own, to look at: replication 0.

        Parameters
        ----------
        theta
            A fitted model.
        documents : int, at least 1
        rng : None, seed or numpy.random.Generator

        Returns
        -------
        list of lists of int
            Token ids, without end marks; `Text.decode` reads them.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, the value found and the value wanted.

        Examples
        --------
        >>> text = Text(("<end>", "a", "b"), np.array([1, 2, 0]), "one document")
        >>> model = NextToken()
        >>> model.write(model.read(text), 2)
        [[1, 2], [1, 2]]
        """
        self._check_theta(theta)
        number = np.array([_check.whole("documents", documents)])
        if self.contexts == "fixed":
            raise ValueError("contexts must be 'own' for a model that writes, found 'fixed'")
        document, gram = _documents(theta, number, _check.generator(rng))
        token = (gram % theta.space.K)[np.argsort(document, kind="stable")]
        ends = np.flatnonzero(token == STOP)
        return [part[part != STOP].tolist() for part in np.split(token, ends[:-1])]

    def cross_entropy(self, theta, text, *, mix=0.01):
        """Bits per token of a text under the model, end marks included.

        The mean of -log2((1 - mix) P(token | context) + mix / K): a token the model has lost costs
        at most log2(K / mix) bits, not infinitely many.

        Parameters
        ----------
        theta
            A fitted model, R replications.
        text : Text
            In the vocabulary of the model; held out, if it is to judge.
        mix : float in (0, 1]

        Returns
        -------
        (R,) float64

        Raises
        ------
        TypeError, ValueError
            Naming the argument, the value found and the value wanted.

        Examples
        --------
        >>> text = Text(("<end>", "a"), np.array([1, 0]), "one document")
        >>> model = NextToken()
        >>> model.cross_entropy(model.read(text), text, mix=1).tolist()
        [1.0]
        """
        self._check_theta(theta)
        mix = _check.number("mix", mix, above=0)
        if mix > 1:
            raise ValueError(f"mix must be in (0, 1], found {mix}")
        space, gram = _grams(text, self.order)
        if space.tokens != theta.space.tokens:
            raise ValueError(
                "text must have the vocabulary of the model: give two parts of one split, found "
                f"{len(text.tokens)} tokens for the model's {theta.space.K}"
            )
        gram, count = np.unique(gram, return_counts=True)

        def bits(*where):
            return -np.log2((1 - mix) * _p(*where) + mix / space.K)

        return _sum(theta, count / count.sum(), bits, *np.divmod(gram, space.K))

    def rows(self, theta, context):
        """The probabilities of all tokens after one context.

        Parameters
        ----------
        theta
            A fitted model, R replications.
        context : int, or list of `order` token ids
            Oldest first. 0, the end mark, stands before a document.

        Returns
        -------
        (R, K) float64

        Raises
        ------
        TypeError, ValueError
            Naming the argument, the value found and the value wanted.

        Examples
        --------
        >>> text = Text(("<end>", "a", "b"), np.array([1, 2, 0]), "one document")
        >>> model = NextToken(2)
        >>> model.rows(model.read(text), [0, 1]).tolist()
        [[0.0, 0.0, 1.0]]
        """
        self._check_theta(theta)
        space = theta.space
        ids = np.atleast_1d(_check.whole_array("context", context, least=0))
        limit = space.K if self.order > 1 else space.contexts
        if ids.shape != (self.order,) or ids.max() >= limit:
            raise ValueError(
                f"context must be {self.order} whole numbers below {limit}, found {context!r}"
            )
        code = ids @ space.K ** np.arange(self.order)[::-1]
        R = theta.grams.size
        return _p(theta, np.arange(R)[:, None], np.array([code]), np.arange(space.K))

    def words(self, theta):
        """Distinct tokens that a document can hold: those that can be reached from its start.

        Rows of contexts that no document reaches any more are kept, and do not count.

        Parameters
        ----------
        theta
            A fitted model that writes its own contexts, R replications.

        Returns
        -------
        (R,) int64
            The end mark is no word.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, the value found and the value wanted.

        Examples
        --------
        >>> text = Text(("<end>", "a", "b"), np.array([1, 1, 0, 2, 0]), "two documents")
        >>> model = NextToken()
        >>> model.words(model.read(text)).tolist()
        [2]
        """
        self._check_theta(theta)
        if self.contexts == "fixed":
            raise ValueError("contexts must be 'own' for a model that writes, found 'fixed'")
        space, R = theta.space, theta.grams.size
        found, new = np.empty(0, np.int64), np.arange(R) * space.contexts  # r, and its context
        token = np.empty(0, np.int64)
        while new.size:
            found = np.union1d(found, new)
            r, context = np.divmod(new, space.contexts)
            row = _find(theta, r, context)
            known = row >= 0
            length = np.diff(theta.start)[row[known]]
            after = [theta.key[_inside(theta.start[row[known]], length)] % space.K]
            before = [np.repeat(new[known], length)]
            after.append(np.tile(np.arange(space.K), np.count_nonzero(~known)))  # uniform
            before.append(np.repeat(new[~known], space.K))
            before, after = np.concatenate(before), np.concatenate(after)
            before, after = before[after != STOP], after[after != STOP]
            r, context = np.divmod(before, space.contexts)
            token = np.union1d(token, r * space.K + after)
            new = r * space.contexts + (context * space.K + after) % space.contexts
            new = np.setdiff1d(new, found)
        return np.bincount(token // space.K, minlength=R)

    def _check_theta(self, theta):
        if not isinstance(theta, Table):
            raise TypeError(f"theta must be a fitted NextToken, found {_check.short(theta)}")
        fixed = theta.space.law is not None
        if theta.space.order != self.order or fixed != (self.contexts == "fixed"):
            kind = "fixed" if fixed else "own"
            raise ValueError(
                f"theta must be of order {self.order} with contexts={self.contexts!r}, found order "
                f"{theta.space.order} with contexts={kind!r}"
            )

    def _parameters(self, target):
        """theta of one replication."""
        if isinstance(target, Text):
            return self.read(target)
        if isinstance(target, Table):
            self._check_theta(target)
            if target.grams.size != 1:
                found = f"{target.grams.size}"
                raise ValueError(f"target must be a model of one replication, found {found}")
            return target
        if self.contexts == "own" or not isinstance(target, (tuple, list)) or len(target) != 2:
            pair = " or a pair (pi, rows) of probabilities" if self.contexts == "fixed" else ""
            raise TypeError(
                f"target must be a Text, what read(text) gives{pair}, found {_check.short(target)}"
            )
        if self.order != 1:
            raise ValueError(f"order must be 1 where target is (pi, rows), found {self.order}")
        pi = _check.probabilities("pi", target[0], ndim=1)
        rows = _check.probabilities("rows", target[1])
        if rows.ndim != 2 or rows.shape[0] != pi.size:
            raise ValueError(f"rows must have shape ({pi.size}, K), found {rows.shape}")
        context = np.flatnonzero(pi)
        law = context, pi[context] / pi.sum()
        space = Space(rows.shape[1], pi.size, 1, law=law)
        space.check()
        key = np.flatnonzero(rows)
        return _rows(space, np.array([key.size]), key, rows.ravel()[key])


class Model(NamedTuple):
    """A target: a model at known parameters, of one replication."""

    model: NextToken
    theta: Table

    def sample(self, n, rng):  # the law, whatever a subclass does to writing
        return NextToken.sample(self.model, self.theta, n, rng)


class Documents:
    """A target: the documents of a text, drawn with replacement."""

    def __init__(self, model, text):
        self.unit = model.unit
        self.space, self.gram = _grams(text, model.order)
        stop = np.flatnonzero(text.stream == STOP) + 1
        self.start = np.concatenate([[0], stop[:-1]])
        self.length = stop - self.start
        most, longest = LONGEST // 32, self.length.max()
        if self.unit == "documents" and longest > most:
            raise ValueError(
                f"target must have documents of at most {most:,} tokens where n counts documents, "
                f"found one of {longest:,} in {text.source}: written ones would pass {LONGEST:,} "
                "tokens, where the loop gives up, by chance. Make shorter ones "
                "(targets.text(files, by='paragraph') or by='line') or let n count tokens "
                "(NextToken(unit='tokens'))"
            )

    def sample(self, n, rng):
        self.space.check(n.size)
        number = n if self.unit == "documents" else -(-n // self.length.min())  # enough for n
        owner = np.repeat(np.arange(n.size), number)
        document = rng.integers(self.length.size, size=owner.size)
        length = self.length[document]
        if self.unit == "tokens":
            length = np.clip(n[owner] - _before(length, number), 0, length)
        gram = self.gram[_inside(self.start[document], length)]
        return _count(self.space, np.repeat(owner, length), gram, n)


def _grams(text, order):
    """The space of a text and the gram that ends at each of its tokens."""
    if not isinstance(text, Text):
        raise TypeError(f"text must be a Text, as text() gives, found {_check.short(text)}")
    stream, K = text.stream, len(text.tokens)
    space = Space(K, K**order, order, text.tokens)
    space.check()
    stop = np.flatnonzero(stream == STOP) + 1
    length = np.diff(stop, prepend=0)
    since = np.arange(stream.size) - np.repeat(stop - length, length)  # tokens before, in document
    gram = stream.astype(np.int64)
    for j in range(1, order + 1):
        gram[j:] += np.where(since[j:] >= j, stream[:-j], STOP) * K**j
    return space, gram


def _count(space, owner, gram, n):
    """Data of the grams (N,) that the replications `owner` (N,) hold."""
    key, count = np.unique(owner * space.size + gram, return_counts=True)
    return Grams(n.astype(np.float64), key, count / n[key // space.size], space)


def _merge(key, weight):
    """Distinct keys, sorted, with the weights of equal keys added; none without weight."""
    order = np.argsort(key, kind="stable")  # merges what is sorted in parts
    key, weight = key[order], weight[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    key, weight = key[first], np.add.reduceat(weight, first) if first.size else weight
    return key[weight > 0], weight[weight > 0]


def _with_shorter(space, key, weight):
    """The grams, and the shorter ones they end with."""
    keys, weights = [key], [weight]
    r, gram = np.divmod(key, space.size)
    for level in range(space.order):
        short = space.first(level) * space.K + gram % space.K ** (level + 1)
        keys.append(r * space.size + short)
        weights.append(weight)
    return _merge(np.concatenate(keys), np.concatenate(weights))


def _rows(space, grams, key, weight):
    """Parameters from the weights of distinct grams."""
    key, weight = _merge(key, weight)
    context = key // space.K
    start = np.flatnonzero(np.diff(context, prepend=-1))
    stop = np.append(start[1:], key.size)
    number = np.repeat(np.arange(start.size), stop - start)
    p = weight / np.add.reduceat(weight, start)[number]
    total = np.cumsum(p)
    before = total[start] - p[start]
    # rounding must not lead out of the row: below its end, and its end exact
    upto = number + np.minimum(total - before[number], 1.0)
    upto[stop - 1] = np.arange(1, start.size + 1)
    arrays = grams, key, p, context[start], np.append(start, key.size), upto
    for array in arrays:
        array.setflags(write=False)
    return Table(space, *arrays)


def _find(theta, r, context):
    """Number of the row that is in force, -1 for uniform: that of the context or of its end."""
    space = theta.space
    base = r * space.width if theta.grams.size > 1 else 0 * r

    def find(code):
        row = np.minimum(np.searchsorted(theta.row, code), theta.row.size - 1)
        return np.where(theta.row[row] == code, row, -1)

    row = find(base + context)
    for level in range(space.order - 1, -1, -1):
        missing = row < 0
        if not missing.any():
            break
        row[missing] = find((base + space.first(level) + context % space.K**level)[missing])
    return row


def _p(theta, r, context, token):
    """P(token | context), the arguments broadcast."""
    row = _find(theta, *np.broadcast_arrays(r, context))
    key = theta.row[row] * theta.space.K + token
    i = np.minimum(np.searchsorted(theta.key, key), theta.key.size - 1)
    p = np.where(theta.key[i] == key, theta.p[i], 0.0)
    return np.where(row < 0, 1 / theta.space.K, p)


def _norm(theta, r, context):
    """The sum of the squares of the row."""
    row = _find(theta, *np.broadcast_arrays(r, context))
    norm = np.add.reduceat(theta.p**2, theta.start[:-1])
    return np.where(row < 0, 1 / theta.space.K, norm[row])


def _sum(theta, weight, function, *where):
    """sum_i weight_i function(theta, r, where_i), (R,), in blocks that bound the memory."""
    R = theta.grams.size
    total, step = np.zeros(R), max(1, BLOCK // R)
    for i in range(0, weight.size, step):
        part = slice(i, i + step)
        values = function(theta, np.arange(R)[:, None], *(x[None, part] for x in where))
        total += values @ weight[part]
    return total


def _contexts(law, size, rng):
    context, pi = law
    place = np.searchsorted(np.cumsum(pi), rng.random(size), side="right")
    return context[np.minimum(place, pi.size - 1)]


def _draw(theta, r, context, rng):
    """One token after each context."""
    row, u = _find(theta, r, context), rng.random(r.size)
    i = np.searchsorted(theta.upto, row + u, side="right")
    i = np.minimum(i, theta.start[row + 1] - 1)  # row + u may round up to the next row
    return np.where(row < 0, (u * theta.space.K).astype(np.int64), theta.key[i] % theta.space.K)


def _starts(length):
    return np.cumsum(length) - length


def _inside(start, length):
    """start, start + 1, ... start + length - 1 of every part, one after another."""
    return np.repeat(start - _starts(length), length) + np.arange(length.sum())


def _before(length, number):
    """Tokens of a replication before each of its documents; `number` documents a replication."""
    start = _starts(length)
    first = np.concatenate([start, [length.sum()]])[_starts(number)]
    return start - np.repeat(first, number)


def _documents(theta, number, rng, need=None):
    """Write `number` (R,) documents side by side: the document and the gram of every token.

    In order of position. Where the stream of documents is `need` (R,) tokens long, documents
    stop once the stream is full without the rest of them.
    """
    # Endless documents need a model that cannot reach the end. A model fitted to whole documents
    # visits each gram as often as the data do: its documents have their mean length. Only models
    # of cut text can have dead ends, and they are read with `need`.
    K, contexts = theta.space.K, theta.space.contexts
    owner = np.repeat(np.arange(number.size), number)
    length = np.zeros(owner.size, dtype=np.int64)
    active, context = np.arange(owner.size), np.zeros(owner.size, dtype=np.int64)
    written = [(active[:0], context[:0])]
    while active.size:
        position = len(written) - 1
        if need is None and (position > LONGEST or position * active.size > OPEN):
            raise ValueError(
                f"theta must be a model that ends its documents, found {active.size} of "
                f"{position} tokens and no end: fit to whole documents, of fewer tokens each, or "
                "let n count tokens (unit='tokens')"
            )
        gram = context * K + _draw(theta, owner[active], context, rng)
        written.append((active, gram))
        length[active] += 1
        context = gram % contexts
        going = gram % K != STOP
        if need is not None:
            going &= (_before(length, number) + length < need[owner])[active]
        active, context = active[going], context[going]
    document, gram = zip(*written, strict=True)
    return np.concatenate(document), np.concatenate(gram)


def _stream(theta, n, rng):
    """Documents one after another, cut after n (R,) tokens: owner and gram of every token.

    How many documents are begun depends on those before only: no document is in because it is
    short.
    """
    need, mean, parts = n.copy(), 32.0, [(n[:0], n[:0])]
    while need.any():
        number = np.ceil(need / mean).astype(np.int64)
        document, gram = _documents(theta, number, rng, need)
        length = np.bincount(document, minlength=number.sum())
        order = np.argsort(document, kind="stable")
        document, gram = document[order], gram[order]
        owner = np.repeat(np.arange(n.size), number)[document]
        place = _inside(_before(length, number), length)  # in its stream
        kept = place < need[owner]
        parts.append((owner[kept], gram[kept]))
        need = need - np.bincount(owner[kept], minlength=n.size)
        mean = max(1.0, document.size / number.sum())
    owner, gram = zip(*parts, strict=True)
    return np.concatenate(owner), np.concatenate(gram)
