"""A small GPT: a decoder-only transformer that writes whole documents, trained from scratch.

A document is a row of tokens that starts and ends with the end mark 0. The transformer (Vaswani et
al., 2017; Radford et al., 2019) reads the tokens so far and gives the probabilities of the next;
to write is to draw from them, temperature 1, nothing cut off: the sampler is the model. Needs the
extra ``pip install -e ".[gpt]"``: JAX, equinox and optax. Nothing else imports this file.
"""

import contextlib
import os
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec

from collapse import _check
from collapse.models._data import mask, shares

__all__ = ["GPT", "Config"]

with contextlib.suppress(RuntimeError):  # JAX has started already
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)  # each core a device of its own


@dataclass(frozen=True)
class Config:
    """Size and training of a GPT.

    Parameters
    ----------
    vocabulary : int
        Tokens, the end mark 0 included.
    context : int
        Longest document, its last end mark included.
    layers, heads, width : int
        Transformer blocks, attention heads and width; heads divide the width.
    batch : int
        Documents a step.
    epochs : int
        How often training sees each document.
    rate : float
        Learning rate of Adam, after a warm-up of 5% of the steps; falls to a tenth of it.
    """

    vocabulary: int
    context: int = 64
    layers: int = 1
    heads: int = 2
    width: int = 32
    batch: int = 8
    epochs: int = 4
    rate: float = 5e-3

    def __post_init__(self):
        for name in ("vocabulary", "context", "layers", "heads", "width", "batch", "epochs"):
            object.__setattr__(self, name, _check.whole(name, getattr(self, name)))
        object.__setattr__(self, "rate", _check.number("rate", self.rate, above=0))
        if self.width % self.heads:
            raise ValueError(f"heads must divide width {self.width}, found {self.heads}")


# The transformer


class Block(eqx.Module):
    """Attention, then a multilayer perceptron, each added to what comes in."""

    norm1: jax.Array  # (width,)
    qkv: jax.Array  # (width, 3, heads, width / heads)
    out: jax.Array  # (heads, width / heads, width)
    norm2: jax.Array
    up: jax.Array  # (width, 4 width)
    down: jax.Array  # (4 width, width)

    def __init__(self, c, key):
        k = jax.random.split(key, 4)
        deep = (2 * c.layers) ** -0.5  # as in GPT-2: what the layers add does not grow with them
        self.norm1 = self.norm2 = jnp.ones(c.width)
        self.qkv = _normal(k[0], (c.width, 3, c.heads, c.width // c.heads), c.width)
        self.out = deep * _normal(k[1], (c.heads, c.width // c.heads, c.width), c.width)
        self.up = _normal(k[2], (c.width, 4 * c.width), c.width)
        self.down = deep * _normal(k[3], (4 * c.width, c.width), 4 * c.width)

    def __call__(self, x, attend):
        """x (..., width); `attend` mixes the values of the tokens so far."""
        q, k, v = jnp.moveaxis(jnp.tensordot(_normed(x, self.norm1), self.qkv, 1), -3, 0)
        mixed, kept = attend(q, k, v)
        x = x + jnp.tensordot(mixed, self.out, 2)
        return x + jax.nn.gelu(_normed(x, self.norm2) @ self.up) @ self.down, kept


class Transformer(eqx.Module):
    """Parameters; the last layer shares its weights with the token embedding."""

    token: jax.Array  # (vocabulary, width)
    position: jax.Array  # (context, width)
    blocks: list
    norm: jax.Array

    def __init__(self, c, key):
        k = jax.random.split(key, 2 + c.layers)
        self.token = 0.02 * jax.random.normal(k[0], (c.vocabulary, c.width))
        self.position = 0.02 * jax.random.normal(k[1], (c.context, c.width))
        self.blocks = [Block(c, key) for key in k[2:]]
        self.norm = jnp.ones(c.width)

    def __call__(self, tokens):
        """Logits (B, L, vocabulary) of the token after each of tokens (B, L)."""
        L = tokens.shape[1]
        x = self.token[tokens] + self.position[:L]
        past = jnp.tril(jnp.ones((L, L), bool))

        def attend(q, k, v):  # (B, L, heads, width / heads)
            score = jnp.einsum("blhd,bmhd->bhlm", q, k) / q.shape[-1] ** 0.5
            share = jax.nn.softmax(jnp.where(past, score, -jnp.inf))
            return jnp.einsum("bhlm,bmhd->blhd", share, v), None

        for block in self.blocks:
            x, _ = block(x, attend)
        return _normed(x, self.norm) @ self.token.T

    def step(self, tokens, t, cache):
        """Logits (B, vocabulary) after tokens (B,) at position t, and what later ones look at."""
        x = self.token[tokens] + self.position[t]
        new = []
        for block, (keys, values) in zip(self.blocks, cache, strict=True):

            def attend(q, k, v, keys=keys, values=values):  # (B, heads, width / heads)
                keys = jax.lax.dynamic_update_index_in_dim(keys, k, t, 2)
                values = jax.lax.dynamic_update_index_in_dim(values, v, t, 2)
                score = jnp.einsum("bhd,bhmd->bhm", q, keys) / q.shape[-1] ** 0.5
                share = jax.nn.softmax(jnp.where(jnp.arange(keys.shape[2]) <= t, score, -jnp.inf))
                return jnp.einsum("bhm,bhmd->bhd", share, values), (keys, values)

            x, kept = block(x, attend)
            new.append(kept)
        return _normed(x, self.norm) @ self.token.T, new


def _normal(key, shape, fan_in):
    return jax.random.normal(key, shape) * fan_in**-0.5


def _normed(x, scale):
    return scale * x * jax.lax.rsqrt((x**2).mean(axis=-1, keepdims=True) + 1e-5)


def bits(net, rows):
    """Summed -log2 P of the tokens after the first of each row (B, L + 1), and their number.

    A document is over after the end mark that follows its first; -1 is padding.
    """
    into, out = rows[:, :-1], rows[:, 1:]
    log_p = jax.nn.log_softmax(net(jnp.maximum(into, 0)))
    hit = jnp.take_along_axis(log_p, jnp.maximum(out, 0)[..., None], axis=-1)[..., 0]
    return -(hit * (out >= 0)).sum(axis=1) / jnp.log(2), (out >= 0).sum(axis=1)


def train(c, key, rows, weight, size):
    """A transformer trained from scratch on rows (N, L + 1) that carry weights (N,)."""
    keys = jax.random.split(key, 1 + c.epochs)
    net = Transformer(c, keys[0])
    order = jax.vmap(partial(_shuffled, weight, size))(keys[1:]).reshape(-1)
    N, M = weight.size, jnp.maximum(size, 1)
    steps = -(-c.epochs * M // c.batch)
    adam = optax.scale_by_adam()

    def loss(net, rows):
        total, number = bits(net, rows)
        return total.sum() / jnp.maximum(number.sum(), 1)

    def step(i, state):
        net, memory = state
        j = (i * c.batch + jnp.arange(c.batch)) % (c.epochs * M)
        gradient = jax.grad(loss)(net, rows[order[j // M * N + j % M]])
        gradient, memory = adam.update(gradient, memory)
        done = i / steps
        rate = c.rate * jnp.minimum(1, 20 * (done + 1 / steps))
        rate *= 0.55 + 0.45 * jnp.cos(jnp.pi * done)
        return jax.tree.map(lambda p, g: p - rate * g, net, gradient), memory

    return jax.lax.fori_loop(0, steps, step, (net, adam.init(net)))[0]


def _shuffled(weight, size, key):
    """Rows in random order, each about size * weight times: once where weights are equal."""
    first, second = jax.random.split(key)
    ladder = jnp.cumsum(weight) / jnp.maximum(weight.sum(), 1e-30)
    place = jnp.arange(weight.size)
    u = (place + jax.random.uniform(first)) / jnp.maximum(size, 1)
    rows = jnp.minimum(jnp.searchsorted(ladder, u), weight.size - 1)
    mixed = jnp.where(place < size, jax.random.uniform(second, weight.shape), 2.0)
    return rows[jnp.argsort(mixed)]


def write(c, net, key, number):
    """`number` documents (number, context + 1) from the end mark on; -1 after their end."""
    empty = jnp.zeros((number, c.heads, c.context, c.width // c.heads))
    start = jnp.zeros(number, jnp.int32), [(empty, empty)] * c.layers

    def step(state, t):
        token, cache = state
        logits, cache = net.step(jnp.maximum(token, 0), t, cache)
        drawn = jax.random.categorical(jax.random.fold_in(key, t), logits)
        over = (token < 0) | ((token == 0) & (t > 0))
        token = jnp.where(over, -1, drawn.astype(jnp.int32))
        return (token, cache), token

    _, tokens = jax.lax.scan(step, start, jnp.arange(c.context))
    return jnp.concatenate([jnp.zeros((number, 1), jnp.int32), tokens.T], axis=1)


# The model contract


class Documents(NamedTuple):
    """Data of a GPT: documents with weights, and a key for the training that reads them."""

    x: np.ndarray  # (R, N, context + 1), tokens; -1 after the end
    weight: np.ndarray  # (R, N), 0 on padding; rows sum to 1, or to 0 without documents
    size: np.ndarray  # (R,), effective number of documents
    key: np.ndarray  # (R,), uint32


@dataclass(frozen=True)
class GPT:
    """A transformer trained from scratch on every generation's documents.

    theta is a `Transformer` whose arrays have a leading axis R. n counts documents; a document is
    written token by token until its end mark, or until it fills the context. The randomness of a
    training (first parameters, order of documents) comes from a key that travels with the data.
    A target has a method `sample` of (n, rng), as `collapse.experiments.gpt.Fresh` does.

    Parameters
    ----------
    config : Config
    together : bool, optional
        Train replications together (vmap) or one after another on every device; by default
        together on an accelerator. Both give the same fits up to rounding.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Bakshi and Chakraborty (2026), the second study; Claim F10.
    """

    config: Config
    together: bool | None = None

    stores_samples = True

    def documents(self, x, n, rng):
        """The data of the first n (R,) of N documents x (R, N, context + 1)."""
        return Documents(x, mask(x, n), n.astype(np.float64), _keys(n.size, rng))

    def sample(self, theta, n, rng):
        """Write n (R,) documents."""
        most, keys = int(n.max()), _keys(n.size, rng)
        if most == 0:
            return self.documents(np.empty((n.size, 0, self.config.context + 1), np.int32), n, rng)
        blank = np.zeros((n.size, _roomy(most)), bool)
        x = self._apart(_write, theta, keys, blank)
        return self.documents(np.asarray(x)[:, :most], n, rng)

    def pool(self, a, b, share):
        """Both, with the weight `share` on b; documents without weight are dropped."""
        weight_a, weight_b, size = shares(a.size, b.size, share)
        weight = np.concatenate(
            [weight_a[:, None] * a.weight, weight_b[:, None] * b.weight], axis=1
        )
        read = (weight > 0).any(axis=0)
        x = np.concatenate([a.x, b.x], axis=1)[:, read]
        return Documents(x, weight[:, read], size, a.key ^ b.key)

    def fit(self, data, previous=None):
        """A transformer trained from scratch; `previous` in replications without documents."""
        N = data.x.shape[1]
        room = ((0, 0), (0, _roomy(N) - N))
        x = np.pad(data.x, (*room, (0, 0)), constant_values=-1)
        size = np.rint(data.size).astype(np.int32)
        lacking = data.size == 0
        if lacking.any() and previous is None:
            raise ValueError("data must hold at least one document where there is no previous")
        weight = np.pad(data.weight, room).astype(np.float32)
        theta = self._apart(_train, data.key, x, weight, size)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(theta)):
            raise ValueError(f"rate must be smaller, found {self.config.rate}: training diverged")
        if lacking.any():

            def old(new, before):
                return jnp.where(lacking.reshape(-1, *[1] * (new.ndim - 1)), before, new)

            theta = jax.tree.map(old, theta, previous)
        return theta

    def count(self):
        """How many parameters a transformer of this size has."""
        net = jax.eval_shape(partial(Transformer, self.config), jax.random.key(0))
        return sum(leaf.size for leaf in jax.tree.leaves(net))

    def restore(self, leaves):
        """theta from its arrays in order, as `jax.tree.leaves` gives them."""
        net = jax.eval_shape(partial(Transformer, self.config), jax.random.key(0))
        return jax.tree.unflatten(jax.tree.structure(net), [jnp.asarray(leaf) for leaf in leaves])

    def bits(self, theta, rows):
        """Held-out loss: -log2 P summed over documents rows (M, context + 1), and tokens; (R,)."""
        every = np.broadcast_to(rows, (len(theta.norm), *rows.shape))
        return np.asarray(self._apart(_held_out, theta, every))

    def _apart(self, work, *args):
        """work(config, ...) for every replication: one compiled program on all devices there are.

        A processor core is a device and takes its replications one after another, an accelerator
        takes them together: each is the faster there (`benchmarks/bench_gpt.py` measures it). As
        many devices work as divide R.
        """
        R, devices = len(jax.tree.leaves(args)[0]), jax.local_devices()
        D = max(d for d in range(1, len(devices) + 1) if R % d == 0)
        together = devices[0].platform != "cpu" if self.together is None else self.together
        return _program(work, self.config, together, tuple(devices[:D]))(*args)


def _train(config, key, *data):
    return train(config, jax.random.key(key), *data)


def _write(config, net, key, blank):
    return write(config, net, jax.random.key(key), len(blank))


def _held_out(config, net, rows):
    rows = jnp.pad(rows, ((0, -len(rows) % config.batch), (0, 0)), constant_values=-1)
    batches = rows.reshape(-1, config.batch, rows.shape[1])  # the logits of all are too many
    return jax.lax.map(lambda batch: bits(net, batch)[0].sum(), batches).sum()


def _keys(R, rng):
    return rng.integers(2**32, size=R, dtype=np.uint32)


def _roomy(n):
    """A number of documents, at least n, out of few: every shape is compiled anew."""
    return 1 << max(n - 1, 1).bit_length()


@cache
def _program(work, config, together, devices):
    one, spec = partial(work, config), PartitionSpec("R")

    def each(*args):
        return jax.vmap(one)(*args) if together else jax.lax.map(lambda row: one(*row), args)

    mesh = Mesh(np.array(devices), "R")
    return jax.jit(jax.shard_map(each, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False))
