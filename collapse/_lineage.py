"""Who descends from whom: the law of the number of founders of a generation (Claim A7).

Follow j distinct samples of generation s back. Each is a real draw with probability alpha_s, a
founder; the others pick parents among the n_{s-1} samples before, and lines that meet are one.
Both steps look at one line after the other, so both are ladders: j lines stand at rung i, the next
line stays with probability stay_i or climbs.
"""

import numpy as np

LARGEST = 4096  # rows of a table; 8 tables of LARGEST^2 floats are about 1 GiB


def founder_laws(n, alpha):
    """Yield for t = 0..T the law of F_t, (n_t + 1,): all additions of positive numbers.

    lines[j, f] is the probability that j samples of the current generation have f founders.
    A real draw turns a line into a founder and keeps f - j; a merger keeps f. Each step is one
    product of matrices, in the coordinates (j, j - f) for the first and (j, f) for the second.
    """
    lines, made, parents, thinned = np.eye(n[0] + 1), None, None, None
    yield lines[-1]
    for t in range(1, n.size):
        if made != (key := (n[t - 1], n[t], alpha[t])):
            parents = _ladder(np.arange(n[t - 1] + 1) / n[t - 1], n[t])
            thinned = _ladder(np.full(n[t] + 1, alpha[t]), n[t])
            made = key
        lines = _apply(parents, lines)
        if alpha[t] > 0:
            lines = _flip(_apply(thinned, _flip(lines, n[t])), n[t])
        else:  # as many columns as rows: f is at most j
            wide = max(0, n[t] + 1 - lines.shape[1])
            lines = np.pad(lines[:, : n[t] + 1], ((0, 0), (0, wide)))
        yield lines[-1]


def _ladder(stay, lines):
    """(lines + 1, rungs): the law of the rung after j = 0..lines lines."""
    table = np.zeros((lines + 1, stay.size))
    table[0, 0] = 1
    for j in range(lines):
        table[j + 1] = stay * table[j]
        table[j + 1, 1:] += (1 - stay[:-1]) * table[j, :-1]
    return table


def _apply(law, table, rows=128):
    """law @ table, a block of rows at a time: each law is narrow, what is below 1e-40 is left."""
    out = np.empty((len(law), table.shape[1]))
    for start in range(0, len(law), rows):
        block = law[start : start + rows]
        seen = np.flatnonzero(block.max(axis=0) > 1e-40)
        part = slice(seen[0], seen[-1] + 1)
        out[start : start + rows] = block[:, part] @ table[part]
    return out


def _flip(table, width):
    """Between columns f and columns j - f, in either direction: (j, width + 1)."""
    rows, columns = table.shape
    wide = np.zeros((rows, width + max(rows, columns)))
    wide[:, width : width + columns] = table
    down, right = wide.strides
    return np.lib.stride_tricks.as_strided(
        wide[:, width:], (rows, width + 1), (down + right, -right), writeable=False
    )
