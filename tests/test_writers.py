"""Writers that are not the model: what they write, where the loop rests, how far it strays."""

import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collapse import (
    Bernoulli,
    Categorical,
    Gaussian,
    NextToken,
    Poisson,
    Result,
    asymptotics,
    exact,
    iterate,
    mixture,
    replace,
    simulate,
    targets,
    writers,
)  # fmt: skip

P = np.array([0.4, 0.3, 0.2, 0.1])
WRITERS = {
    "temperature": writers.temperature(0.7),
    "flat": writers.temperature(3.0),
    "top_k": writers.top_k(2),
    "top_p": writers.top_p(0.75),
    "smooth": writers.smooth(0.25),
    "smooth law": writers.smooth(0.25, P[::-1]),
    "select": writers.select([1.0, 0.5, 0.25, 0.0]),
    "verify": writers.verify(P[::-1], 0.5),
}


def text():
    return targets.text(k=40)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_rows_are_written_one_by_one(write):
    rows = np.random.default_rng(1).dirichlet(np.ones(4), size=(5, 3))
    found = write(rows)
    assert found.shape == rows.shape and found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-12)
    np.testing.assert_allclose(found[2, 1], write(rows[2, 1]), atol=1e-15)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.floats(0.01, 1.0))
def test_top_k_and_top_p_keep_the_likeliest(seed, k, mass):
    p = np.random.default_rng(seed).dirichlet(np.full(8, 0.5))
    order = np.argsort(-p, kind="stable")
    few = writers.top_k(k)(p)
    np.testing.assert_allclose(few[order[:k]], p[order[:k]] / p[order[:k]].sum())
    assert (few[order[k:]] == 0).all()
    kept = writers.top_p(mass)(p) > 0
    count = kept[p > 0].sum()
    assert kept[order[:count]].all()
    assert p[order[:count]].sum() >= mass - 1e-9 > p[order[: count - 1]].sum() - 1e-9


def test_ties_go_to_the_first():
    assert writers.top_k(1)(np.full(3, 1 / 3)).tolist() == [1, 0, 0]
    assert writers.top_p(0.5)(np.full(4, 0.25)).tolist() == [0.5, 0.5, 0, 0]


def test_temperature_does_not_underflow():
    found = writers.temperature(1e-3)(np.array([0.5, 0.5 - 1e-9, 1e-9]))
    assert found.max() == pytest.approx(0.5, abs=1e-5) and found[2] == 0
    assert writers.temperature(0.5)(np.array([1.0, 0.0])).tolist() == [1, 0]


@pytest.mark.parametrize("name", ["temperature", "flat", "top_k", "top_p", "select", "verify"])
def test_rows_of_a_text_are_those_of_a_categorical(name):
    """Each row of a next-token model is written as the same row by itself."""
    model, words = NextToken(), text()
    theta = model.read(words)
    K = len(words.tokens)
    taste = np.linspace(0.1, 1, K)
    other = model.read(words.split(0.5, rng=1)[0])
    write = {"select": writers.select(taste), "verify": writers.verify(other, 0.4)}.get(
        name, WRITERS[name]
    )
    written = write(theta)
    for context in (0, 3, K - 1):
        row = model.rows(theta, context)[0]
        alone = write
        if name == "verify":
            alone = writers.verify(model.rows(other, context)[0], 0.4)
        np.testing.assert_allclose(model.rows(written, context)[0], alone(row), atol=1e-12)


def test_a_writer_that_changes_nothing_changes_nothing():
    p, plan = P, mixture(50, 0.3, 5)
    plain = simulate(Categorical(), p, plan, replications=5, rng=1)
    for write in (lambda theta: theta, writers.verify(P, 0.0), writers.top_k(4)):
        other = simulate(Categorical(), p, plan, replications=5, rng=1, write=write)
        np.testing.assert_allclose(other.values["l2"], plain.values["l2"], atol=1e-15)


def test_real_samples_never_pass_through():
    """alpha = 1: whatever writes, the numbers are those of a loop without a writer."""
    for plan in (mixture(50, 1.0, 4), mixture(50, 1.0, 4, mixing="stratified")):
        plain = simulate(Categorical(), P, plan, replications=4, rng=1)
        other = simulate(Categorical(), P, plan, replications=4, rng=1, write=writers.top_k(1))
        assert (plain.values["l2"] == other.values["l2"]).all()


def test_theta_is_seen_as_fitted():
    """The model of generation 1 is fitted to one token's writing; generation 0 is whole."""
    seen = [theta for _, theta in iterate(Categorical(), P, replace(99, 1), rng=1,
                                          write=writers.top_k(1))]  # fmt: skip
    assert (seen[0] > 0).all() and seen[1].max() == 1


def test_result_keeps_what_wrote(tmp_path):
    plan = mixture(20, 0.5, 2)
    made = simulate(Categorical(), P, plan, replications=2, rng=1, write=writers.temperature(0.5))
    assert made.write == "temperature(tau=0.5)" and "write=temperature" in repr(made)
    made.save(tmp_path / "r.npz")
    assert Result.load(tmp_path / "r.npz").write == made.write
    assert pickle.loads(pickle.dumps(made)).write == made.write
    assert simulate(Categorical(), P, plan, replications=2, rng=1).write is None


def test_workers_do_not_matter():
    plan = mixture(50, 0.3, 3)
    one, two = (
        simulate(Categorical(), P, plan, replications=600, rng=1, n_jobs=jobs,
                 write=writers.select([1.0, 0.5, 0.5, 0.5]))
        for jobs in (1, 2)
    )  # fmt: skip
    assert (one.values["l2"] == two.values["l2"]).all()


def test_W6_a_gaussian_written_too_narrow():
    """Variance alpha / (1 - (1 - alpha) lambda), up to 1/n; false alarm 1e-6, sees 1%."""
    n, R = 2000, 2000
    plan = mixture(n, 0.2, 60)
    found = simulate(Gaussian(1), (0.0, 1.0), plan, replications=R, rng=1,
                     write=writers.shrink(0.5))  # fmt: skip
    variance = found.values["variance"][-1]
    error = variance.std() / np.sqrt(R)
    assert abs(variance.mean() - 1 / 3) < 4.9 * error + 2 / n < 0.01 / 3


# Where a loop rests


def test_the_gain_of_a_model_that_writes_itself():
    for alpha in (0.2, 0.7):
        assert asymptotics.writer_gain(P, alpha, lambda theta: theta) == pytest.approx(1, abs=1e-6)
        found = asymptotics.spread(P, alpha, 1000, lambda theta: theta)
        rho = 1 / (1000 * (1 - (1 - alpha) ** 2))  # the plateau to first order
        np.testing.assert_allclose(found, rho * (np.diag(P) - np.outer(P, P)), atol=1e-9)
        assert rho == pytest.approx(exact.plateau(alpha, 1000), rel=0.005)


def test_W1_W2_W3_gains_in_closed_form():
    u = np.full(10, 0.1)
    for tau in (0.8, 1.25):
        found = asymptotics.writer_gain(u, 0.5, writers.temperature(tau))
        assert found == pytest.approx(1 / tau, abs=1e-6)
    for power in (0.05, 0.5):
        found = asymptotics.writer_gain(P, 0.1, writers.verify(P, power))
        assert found == pytest.approx(1 - power, abs=1e-6)
    assert asymptotics.writer_gain(P, 0.3, writers.smooth(0.2, P)) == pytest.approx(0.8, abs=1e-6)


def test_W2_sharpening_has_a_threshold():
    """Uniform p is stable iff alpha > 1 - tau; below it one token takes over."""
    u, write = np.full(20, 0.05), writers.temperature(0.8)
    above, below = (asymptotics.resting(u, alpha, write) for alpha in (0.21, 0.19))
    np.testing.assert_allclose(above[0], u, atol=1e-6)
    assert below[0].max() > 0.5
    assert len(above) == 17 and above[1:].max() > 0.5  # both are stable: hysteresis


def leader(v, K, tau):
    """Share of real samples at which a leader rests that is v times as frequent as each other."""
    c = 1 / tau
    return K * (v**c - v) / ((v**c - 1) * (v + K - 1))


@pytest.mark.parametrize("tau", [0.5, 0.8])
@pytest.mark.parametrize("K", [2, 3, 20])
def test_W2_where_a_leader_rests(K, tau):
    """Every point of the curve rests, and it is stable where the curve falls, and only there."""
    v, u = np.geomspace(1.01, 100, 60), np.full(K, 1 / K)
    write, alpha = writers.temperature(tau), leader(np.geomspace(1.01, 100, 60), K, tau)
    theta = np.ones((60, K))
    theta[:, 0] = v
    theta /= theta.sum(axis=1, keepdims=True)
    after = alpha[:, None] * u + (1 - alpha[:, None]) * write(theta)
    np.testing.assert_allclose(after, theta, atol=1e-12)
    for i in range(2, 58, 5):
        J = (1 - alpha[i]) * asymptotics._derivative(write, theta[i])
        stable = abs(np.linalg.eigvals(J)).max() < 1
        if alpha[i] > 1 - tau:
            assert stable == (leader(v[i] + 1e-4, K, tau) < alpha[i])
    assert (alpha.max() > 1 - tau + 1e-3) == (K > 2)  # two tokens know no hysteresis
    fine = np.diff(leader(np.geomspace(1.001, 1e4, 4000), K, tau)) > 0
    assert (np.diff(fine.astype(int)) <= 0).all()  # up, then down


def test_W2_a_large_vocabulary_never_climbs_back():
    found = [leader(np.sqrt(K), K, 0.9) for K in (1e2, 1e8, 1e16, 1e60)]
    assert (np.diff(found) > 0).all() and found[-1] > 0.99


def test_W5_rest_of_a_cut():
    """Cut tokens rest at their fresh share, the others in proportion, whatever set is kept."""
    p = targets.zipf(100)
    for alpha in (0.05, 0.3):
        theta = asymptotics.resting(p, alpha, writers.top_k(20))[0]
        P = p[:20].sum()
        np.testing.assert_allclose(theta[20:], alpha * p[20:], atol=1e-12)
        np.testing.assert_allclose(theta[:20], p[:20] / P * (1 - alpha * (1 - P)), atol=1e-12)
        g = asymptotics.writer_gain(p, alpha, writers.top_k(20))
        assert g == pytest.approx(1 / (1 - alpha * (1 - P)), abs=1e-6)
        assert 1 - (1 - alpha) * g == pytest.approx(alpha * P / (1 - alpha + alpha * P), abs=1e-6)
    kept = np.array([0, 2])  # not the likeliest two
    P, alpha = 0.6, 0.2
    theta = alpha * np.array([0.4, 0.3, 0.2, 0.1])
    theta[kept] *= (1 - alpha + alpha * P) / P / alpha
    assert alpha * 0.3 < theta[kept].min()  # the condition of the claim
    again = alpha * np.array([0.4, 0.3, 0.2, 0.1]) + (1 - alpha) * writers.top_k(2)(theta)
    np.testing.assert_allclose(again, theta, atol=1e-12)


def test_W5_a_cut_token_is_there_by_fresh_data_alone():
    """Exact for every n: false alarm 1e-6, a probability 5% off is seen."""
    n, alpha, R = 40, 0.25, 40_000
    run = simulate(Categorical(), P, mixture(n, alpha, 6), replications=R, rng=1,
                   write=lambda theta: np.broadcast_to([0.6, 0.4, 0.0, 0.0], theta.shape).copy(),
                   record={"there": lambda theta: theta[:, 3] > 0})  # fmt: skip
    there = 1 - (1 - alpha * P[3]) ** n
    error = np.sqrt(there * (1 - there) / R)
    assert abs(run.values["there"][-1].mean() - there) < 4.9 * error
    assert 0.05 * there > 2 * 4.9 * error


@given(st.floats(0.02, 0.98), st.floats(0.3, 0.99), st.floats(0.3, 1.5))
def test_W5_a_nucleus_needs_more_fresh_data_than_it_cuts(alpha, mass, s):
    p = targets.zipf(80, s)
    for theta in asymptotics.resting(p, alpha, writers.top_p(mass)):
        kept = writers.top_p(mass)(theta) > 0
        P = p[kept].sum()
        np.testing.assert_allclose(theta[~kept], alpha * p[~kept], atol=1e-9)
        assert alpha * (1 - P) <= 1 - mass + 1e-9
        assert alpha >= 1 - mass - 1e-9 or kept.sum() < 1 / (1 - mass - alpha)


def test_W6_exact_at_small_sizes():
    """The two moments, at n = 5; false alarm 1e-6, 5% off is seen."""
    n, alpha, factor, R = 5, 0.3, 0.5, 120_000
    seen = simulate(Gaussian(1), (0.0, 1.0), mixture(n, alpha, 6), replications=R, rng=1,
                    write=writers.shrink(factor)).values  # fmt: skip
    M, V = 1 / n, 1 - 1 / n
    for t in range(1, 7):
        q = alpha + (1 - alpha) * factor * V + alpha * (1 - alpha) * M
        M, V = (1 - alpha) ** 2 * M + q / n, (1 - 1 / n) * q
        for value, theory in ((seen["l2"][t], M), (seen["variance"][t], V)):
            error = value.std() / np.sqrt(R)
            assert abs(value.mean() - theory) < 5.4 * error < 0.025 * theory


def test_W3_worth_a_fresh_share():
    """Without fresh data; false alarm 1e-6, a risk 5% off is seen."""
    p, power, n, R = targets.zipf(20), 0.3, 10**6, 12_000
    risk = simulate(Categorical(), p, replace(n, 30), replications=R, rng=1,
                    write=writers.verify(p, power)).values["l2"][-1]  # fmt: skip
    theory = exact.heterozygosity(p) / (n * power * (2 - power))
    error = risk.std() / np.sqrt(R)
    assert abs(risk.mean() - theory) < 4.9 * error and 2 * 4.9 * error < 0.05 * theory


def test_W3_worth_what_it_was_shown():
    """A verifier that knows m real samples, and 10% fresh; false alarm 1e-6, 5% off is seen."""
    p, power, alpha, n, m, R = targets.zipf(10), 0.2, 0.1, 10**5, 10**5, 16_000
    known = np.random.default_rng(2).multinomial(m, p, size=R) / m

    def write(theta):
        weight = theta ** (1 - power) * known**power
        return weight / weight.sum(axis=1, keepdims=True)

    *_, (_, theta) = iterate(Categorical(), p, mixture(n, alpha, 40), replications=R, rng=1,
                             write=write)  # fmt: skip
    risk = ((theta - p) ** 2).sum(axis=1)
    kappa = (1 - alpha) * (1 - power)
    rho = ((1 - alpha) * power / (1 - kappa)) ** 2 / m + 1 / (n * (1 - kappa**2))
    theory, error = rho * exact.heterozygosity(p), risk.std() / np.sqrt(R)
    assert abs(risk.mean() - theory) < 4.9 * error and 2 * 4.9 * error < 0.05 * theory


def test_W3_ends_on_one_token():
    run = simulate(Categorical(), P, replace(6, 3000), replications=50, rng=1,
                   write=writers.verify(P, 0.3),
                   record={"most": lambda theta: theta.max(axis=-1)})  # fmt: skip
    most = run.values["most"]
    assert (most[-1] == 1).all() and (np.diff((most == 1).astype(int), axis=0) >= 0).all()


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.99))
def test_W4_one_rest_point_from_every_start(seed, alpha):
    """The Perron root of a positive matrix, and the mass of a rare favourite."""
    rng = np.random.default_rng(seed)
    p, accept = rng.dirichlet(np.ones(6)), rng.uniform(0.1, 1, 6)
    M = (1 - alpha) * np.diag(accept) + alpha * np.outer(p, accept)
    values, vectors = np.linalg.eig(M)
    best = values.real.argmax()
    theta = abs(vectors[:, best].real)
    theta /= theta.sum()
    np.testing.assert_allclose(theta, asymptotics.kingman(p, alpha, accept), atol=1e-9)
    assert accept @ theta == pytest.approx(values[best].real)
    top = accept.argmax()
    rest = np.arange(6) != top
    bound = 1 - alpha * (p[rest] / (1 - accept[rest] / accept[top])).sum()
    assert theta[top] >= bound - 1e-12


def test_W4_a_favourite_of_no_share_takes_a_share():
    """Others pass with s: it rests at 1 - alpha / (1 - s) where alpha < 1 - s, else at 0."""
    for alpha, s in ((0.1, 1 / 3), (0.5, 1 / 3), (0.8, 1 / 3)):
        p = np.append(np.full(100, 1 - 1e-12) / 100, 1e-12)
        theta = asymptotics.kingman(p, alpha, np.append(np.full(100, s), 1.0))
        assert theta[-1] == pytest.approx(max(0.0, 1 - alpha / (1 - s)), abs=1e-9)


SETTINGS = {
    "sharpened": (np.full(20, 0.05), 0.5, writers.temperature(0.8)),
    "selected": (P, 0.3, writers.select([0.2, 0.4, 0.6, 1.0])),
    "verified": (P, 0.1, writers.verify(P, 0.3)),
    "smoothed": (P, 0.2, writers.smooth(0.3)),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_W1_spread_meets_simulation(name):
    """False alarm 1e-6; a variance 30% off is seen."""
    p, alpha, write = SETTINGS[name]
    n, R = 20_000, 4000
    theory = asymptotics.spread(p, alpha, n, write)[0, 0]
    seen = simulate(Categorical(), p, mixture(n, alpha, 50), replications=R, rng=1, write=write,
                    record={"x": lambda theta: theta[:, 0]}).values["x"][-1]  # fmt: skip
    rest = asymptotics.resting(p, alpha, write)[0][0]
    assert abs(seen.mean() - rest) < 4.9 * np.sqrt(theory / R) + 20 / n
    noise = np.sqrt(2 / R)
    assert abs(seen.var() / theory - 1) < 4.9 * noise + 0.02  # 1/n beside it
    assert 2 * 4.9 * noise + 0.02 < 0.3


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1.0))
@example(0, 1 - 2**-53)
def test_W4_kingman_is_the_rest_point(seed, alpha):
    rng = np.random.default_rng(seed)
    p, accept = rng.dirichlet(np.ones(6)), rng.uniform(0.1, 1, 6)
    found = asymptotics.kingman(p, alpha, accept)
    written = writers.select(accept)(found)
    np.testing.assert_allclose(alpha * p + (1 - alpha) * written, found, atol=1e-9)
    assert found.min() > 0


def test_kingman_at_its_edges():
    np.testing.assert_allclose(asymptotics.kingman(P, 1.0, [1, 0, 0, 0]), P)
    for nearly in 1 - np.arange(1, 40) * 2.0**-53:
        near = asymptotics.kingman(P, nearly, [0.2, 0.4, 0.6, 1.0])
        np.testing.assert_allclose(near, P, rtol=1e-12)
    rare = asymptotics.kingman([1 - 1e-250, 1e-250], 0.1, [0.5, 1.0])  # the condensate of W4
    np.testing.assert_allclose(rare, [0.2, 0.8], rtol=1e-12)
    np.testing.assert_allclose(asymptotics.kingman(P, 0.5, np.full(4, 0.3)), P, atol=1e-15)
    found = asymptotics.kingman(P, 1e-12, [0.2, 0.4, 0.6, 1.0])
    np.testing.assert_allclose(found, [0, 0, 0, 1], atol=1e-9)
    liked = asymptotics.kingman([0.5, 0.5, 0.0], 0.1, [0.1, 0.2, 1.0])  # it has no such token
    assert liked[2] == 0 and liked[1] > liked[0]


# Bad input


BAD = {
    "tau": (lambda: writers.temperature(0), "tau must be above 0"),
    "k": (lambda: writers.top_k(0), "k must be a whole number"),
    "mass": (lambda: writers.top_p(1.5), "mass must lie in"),
    "share": (lambda: writers.smooth(1.5), "share must lie in"),
    "law": (lambda: writers.smooth(0.5, [0.5, 0.6]), "law must sum to 1"),
    "law length": (lambda: writers.smooth(0.5, [0.5, 0.5])(P), "law must have one number a token"),
    "accept": (lambda: writers.select([2.0]), "accept must lie in"),
    "accept rows": (lambda: writers.select([[1.0]]), "accept must have shape"),
    "accept length": (lambda: writers.select([1.0])(P), "accept must have one number a token, 4"),
    "nothing passes": (lambda: writers.select(np.zeros(4))(P), "write must leave a token"),
    "power": (lambda: writers.verify(P, -1), "power must lie in"),
    "factor": (lambda: writers.shrink(-1), "factor must be at least 0"),
    "alpha": (lambda: asymptotics.resting(P, 2, writers.top_k(1)), "alpha must lie in"),
    "shape": (lambda: asymptotics.resting(P, 0.5, lambda x: x[:1]), "write must keep the shape"),
    "never": (lambda: asymptotics.resting([0.5, 0.5], 0.0, lambda x: x[:, ::-1]),
              "write must bring the loop to rest"),
    "no limit": (lambda: asymptotics.spread(P, 0.0, 9, lambda x: x), "write must have a gain"),
    "taste": (lambda: asymptotics.kingman(P, 0.0, np.ones(4)), "alpha must be above 0"),
    "taste shape": (lambda: asymptotics.kingman(P, 0.5, np.ones(3)), "accept must have the shape"),
    "no taste": (lambda: asymptotics.kingman(P, 0.5, np.zeros(4)), "accept must be above 0"),
    "written": (lambda: simulate(Categorical(), P, replace(9, 1), write=lambda x: x[:1], rng=1),
                "write must give finite parameters"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, words = BAD[case]
    with pytest.raises(ValueError, match=words):
        call()


def test_bad_types():
    gaussian = Gaussian(1).parameters((0.0, 1.0))
    theta = NextToken().read(text())
    for call, words in (
        (lambda: simulate(Categorical(), P, replace(9, 1), write="x"), "write must be None or"),
        (lambda: writers.shrink(0.5)(P), "shrink needs theta of a Gaussian"),
        (lambda: writers.top_k(1)(gaussian), "theta must be probabilities"),
        (lambda: writers.smooth(0.5)(theta), "smooth needs theta"),
        (lambda: writers.verify(P, 0.5)(theta), "p must be of the kind of theta"),
        (lambda: asymptotics.resting(P, 0.5, "x"), "write must be a function"),
    ):
        with pytest.raises(TypeError, match=words):
            call()


TOKENS = [writers.temperature(0.5), writers.top_k(1), writers.top_p(0.5), writers.smooth(0.5),
          writers.select([1.0, 0.5]), writers.verify([0.5, 0.5], 0.5)]  # fmt: skip


@pytest.mark.parametrize("write", TOKENS, ids=lambda write: type(write).__name__)
@pytest.mark.parametrize(("model", "target"), [(Poisson(), 3.0), (Bernoulli(), 0.3)])
def test_a_writer_of_tokens_refuses_what_is_no_row_of_tokens(write, model, target):
    """Two runs of such a model are no row of two tokens, which they were taken for."""
    for write_it in (
        lambda: simulate(model, target, replace(9, 2), replications=2, write=write, rng=1),
        lambda: write(np.array([0.9, 0.3])),
        lambda: write(np.array([1.5, -0.5])),
        lambda: write(np.array([np.nan, 0.5])),
    ):
        with pytest.raises(ValueError, match=r"theta must be probabilities .* sum to 1, found"):
            write_it()
    for write_it in (lambda: write([0.5, 0.5]), lambda: write(Gaussian(1).parameters((0.0, 1.0)))):
        with pytest.raises(TypeError, match="theta must be probabilities"):
            write_it()
