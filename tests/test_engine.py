"""The loop itself: shapes, seeds, batches, workers, recording; and one contract for every model."""

import numpy as np
import pytest
from cases import SIMULATED, SKEW, TINY
from scipy.stats import chi2

import collapse as c
from collapse import exact
from collapse.book import check
from collapse.engine import BATCH, _target
from collapse.models._data import arrays
from collapse.models.categorical import Tokens

MODELS = {"categorical": (c.Categorical(), SKEW), "smoothed": (c.Categorical(add=0.5), SKEW)}
models = pytest.mark.parametrize(("model", "target"), MODELS.values(), ids=MODELS)
plans = pytest.mark.parametrize("plan", TINY.values(), ids=TINY)


@models
def test_contract_sample_pool_fit(model, target):
    """Zero samples, one sample, ragged counts, weights, consistency at large n."""
    rng = np.random.default_rng(1)
    source = _target(model, target)
    n = np.array([0, 1, 5, 10**9])
    data = source.sample(n, rng)
    np.testing.assert_array_equal(data.size, n)
    previous = rng.dirichlet([1, 1, 1], size=4)
    theta = model.fit(data, previous=previous)
    assert theta.shape == (4, 3)
    np.testing.assert_array_equal(theta[0], previous[0])
    np.testing.assert_allclose(theta.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(theta[3], target, atol=5 * np.sqrt(0.25e-9))  # five deviations
    with pytest.raises(ValueError, match="data must hold at least one sample"):
        model.fit(data)

    other = source.sample(np.array([5, 0, 5, 3]), rng)
    for share in (0.0, 0.3, 1.0, np.array([0.1, 0.2, 0.3, 0.4])):
        pooled = model.pool(data, other, share)
        weight = np.broadcast_to(share, 4)
        # an empty side has no weight
        expected = [other, data][0].frequency[0] * (weight[0] > 0)
        np.testing.assert_allclose(pooled.frequency[0], expected, rtol=1e-12)
        expected = data.frequency[1] * (weight[1] < 1)
        np.testing.assert_allclose(pooled.frequency[1], expected, rtol=1e-12)
        mix = (1 - weight[2]) * data.frequency[2] + weight[2] * other.frequency[2]
        np.testing.assert_allclose(pooled.frequency[2], mix, rtol=1e-12)
    whole = model.pool(data, other, np.array([1.0, 0.0, 0.5, 3 / (10**9 + 3)]))
    np.testing.assert_allclose(whole.size, [5, 1, 10, 10**9 + 3], rtol=1e-12)  # Kish
    np.testing.assert_array_equal(model.pool(data, other, np.array([0.0, 1, 0, 0])).size[:2], 0)


@models
def test_contract_mixture_shortcut_has_the_same_law(model, target):
    """Chi-square on single draws, false alarm 1e-6; 200,000 draws see 1% in any share."""
    rng, R = np.random.default_rng(2), 200_000
    theta = np.tile([0.125, 0.25, 0.625], (R, 1))
    share, p = 0.3, np.asarray(target)[None]
    drawn = model.sample_mixture(theta, p, share, np.ones(R, int), rng).frequency.sum(axis=0)
    q = share * p[0] + (1 - share) * theta[0]
    assert ((drawn - R * q) ** 2 / (R * q)).sum() < chi2.isf(1e-6, 2)
    wrong = q + np.array([0.01, -0.01, 0])
    assert ((drawn - R * wrong) ** 2 / (R * wrong)).sum() > chi2.isf(1e-6, 2)


@plans
@models
def test_every_plan_runs(model, target, plan):
    seen = list(c.iterate(model, target, plan, replications=7, rng=1))
    assert [t for t, _ in seen] == list(range(plan.generations + 1))
    for _, theta in seen:
        assert theta.shape == (7, 3) and (theta >= 0).all()
        np.testing.assert_allclose(theta.sum(axis=1), 1, rtol=1e-12)


@plans
def test_slow_path_agrees_with_the_shortcut(plan):
    """A target that hides its parameters makes the engine draw real and synthetic apart.

    False alarm 1e-6; a theory 5% off is rejected: `check` asserts it.
    """
    p = SKEW

    class Hidden:
        def sample(self, n, rng):
            return c.Categorical().sample(np.broadcast_to(p, (n.size, 3)), n, rng)

    record = {"l2": lambda theta: c.metrics.l2(theta, p)}
    kw = {"replications": 30_000, "record": record}
    check(
        c.simulate(c.Categorical(), Hidden(), plan, rng=5, **kw).values["l2"],
        exact.l2_risk(p, plan),
        planted=0.05,
    )


def test_same_seed_same_numbers_whatever_the_workers():
    model, p, plan = c.Categorical(), c.targets.zipf(20), SIMULATED["accumulate"]
    R = 2 * BATCH + 3
    runs = [c.simulate(model, p, plan, replications=R, rng=9, n_jobs=j) for j in (1, 2)]
    np.testing.assert_array_equal(runs[0].values["l2"], runs[1].values["l2"])
    assert runs[0].seed == 9
    again = c.simulate(model, p, plan, replications=R, rng=runs[0].seed)
    np.testing.assert_array_equal(runs[0].values["l2"], again.values["l2"])
    paths = {path.tobytes() for path in runs[0].values["l2"].T.copy()}
    assert len(paths) == R  # no replication of one batch comes back in another


@pytest.mark.parametrize("R", [1, BATCH - 1, BATCH, BATCH + 1, 300, 2 * BATCH])
def test_as_many_replications_as_asked_for(R):
    """However they are cut into batches; and generation 0 of each is the batch's own first draw."""
    p, plan = c.targets.zipf(20), c.replace(50, 1)
    run = c.simulate(c.Categorical(), p, plan, replications=R, rng=4)
    sizes = [min(BATCH, R - start) for start in range(0, R, BATCH)]
    first = [
        c.metrics.l2(next(c.iterate(c.Categorical(), p, plan, replications=size, rng=rng))[1], p)
        for size, rng in zip(sizes, np.random.default_rng(4).spawn(len(sizes)), strict=True)
    ]
    assert run.values["l2"].shape == (2, R) and run.replications == R
    np.testing.assert_allclose(run.values["l2"][0], np.concatenate(first), rtol=1e-12)


def test_an_unseeded_run_can_be_repeated():
    p, plan = SKEW, c.replace(50, 3)
    first = c.simulate(c.Categorical(), p, plan)
    second = c.simulate(c.Categorical(), p, plan, rng=first.seed)
    np.testing.assert_array_equal(first.values["l2"], second.values["l2"])
    other = c.simulate(c.Categorical(), p, plan)
    assert (first.values["l2"] != other.values["l2"]).any()


def test_simulate_consumes_iterate():
    p, plan = SKEW, SIMULATED["weighted"]
    child = np.random.default_rng(4).spawn(1)[0]
    direct = [
        c.metrics.l2(theta, p)
        for _, theta in c.iterate(c.Categorical(), p, plan, replications=6, rng=child)
    ]
    result = c.simulate(c.Categorical(), p, plan, replications=6, rng=4)
    np.testing.assert_array_equal(result.values["l2"], direct)


def test_the_callers_arrays_stay_as_they_were():
    p, n, alpha = SKEW.copy(), np.array([5, 6, 7]), np.array([1, 0.5, 0.25])
    plan = c.mixture(n, alpha, 2)
    c.simulate(c.Categorical(), p, plan, replications=3, rng=1)
    n[0] = alpha[1] = 0
    assert plan.n[0] == 5 and plan.alpha[1] == 0.5
    np.testing.assert_array_equal(p, SKEW)
    with pytest.raises(ValueError, match="read-only"):
        plan.n[0] = 3


def test_B1_a_lost_token_stays_lost():
    """Rounding inside the sampler must not revive a token: many tokens, many samples."""
    K = 2000
    theta = np.zeros((200, K))
    rng = np.random.default_rng(0)
    theta[:, : K - 1] = rng.dirichlet(np.ones(K - 1), size=200)
    data = c.Categorical().sample(theta, np.full(200, 2**53 // 4), rng)
    assert (data.frequency[:, -1] == 0).all()
    # the case is real: the bare sampler leaves draws over for the impossible last token
    raw = np.random.default_rng(0).multinomial(np.full(200, 2**53 // 4), theta)
    assert (raw[:, -1] > 0).any()


def test_E6_smoothing_fed_back_is_mutation():
    """The smoothed model's mean tends to ((1 - e) alpha p + e / K) / (alpha + (1 - alpha) e).

    e = cK / (n + cK): y' = (1 - e) y + e / K with E y = alpha p + (1 - alpha) theta. The raw
    proportions y have another mean, (alpha p + (1 - alpha) e / K) over the same.
    """
    p, n, alpha, add, R = SKEW, 20, 0.2, 0.5, 60_000
    record = {"p0": lambda theta: theta[:, 0]}
    plan = c.mixture(n, alpha, 40)
    result = c.simulate(c.Categorical(add=add), p, plan, replications=R, rng=3, record=record)
    e = add * 3 / (n + add * 3)
    limit = ((1 - e) * alpha * p[0] + e / 3) / (alpha + (1 - alpha) * e)
    check(result.values["p0"], np.full(41, limit), at=[40])


def test_record_what_you_like():
    p, plan = SKEW, c.replace(10, 4)
    record = {
        "tv": lambda theta: c.metrics.tv(theta, p),
        "fixed": lambda theta: theta.max(axis=1) == 1,
    }
    result = c.simulate(c.Categorical(), p, plan, replications=5, rng=1, record=record)
    assert set(result.values) == {"tv", "fixed"} and result.values["fixed"].dtype == float
    with pytest.raises(ValueError, match=r"record\['x'\] must return 5 numbers.*\(5, 3\)"):
        c.simulate(c.Categorical(), p, plan, replications=5, record={"x": lambda theta: theta})
    with pytest.raises(
        ValueError, match=r"record\['x'\] must return numbers, found NaN at generation 0"
    ):
        c.simulate(
            c.Categorical(),
            p,
            plan,
            replications=5,
            record={"x": lambda theta: theta[:, 0] * np.nan},
        )


def test_a_record_cannot_change_the_loop():
    def meddle(theta):
        theta[:] = [1, 0, 0]
        return theta[:, 0]

    with pytest.raises(ValueError, match="read-only"):
        c.simulate(c.Categorical(), SKEW, c.replace(10, 2), record={"x": meddle})


def test_a_seed_sequence_is_left_as_it_was():
    seed = np.random.SeedSequence(5)
    runs = [c.simulate(c.Categorical(), SKEW, c.replace(10, 2), rng=seed) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].values["l2"], runs[1].values["l2"])
    assert seed.n_children_spawned == 0


def test_progress_bar_on_request(capfd):
    plan = c.replace(10, 4)
    c.simulate(c.Categorical(), SKEW, plan, progress=False, rng=1)
    assert capfd.readouterr().err == ""
    c.simulate(c.Categorical(), SKEW, plan, progress=True, rng=1)
    assert "generation" in capfd.readouterr().err


def test_memory_grows_neither_with_n_nor_with_replications():
    import tracemalloc

    def peak(n, R):
        tracemalloc.start()
        c.simulate(c.Categorical(), c.targets.zipf(4000), c.replace(n, 2), replications=R, rng=1)
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    base = peak(100, 300)
    assert peak(10**9, 300) < 1.2 * base
    assert peak(100, 3000) < 1.2 * base


# Real data are the target's, whatever the writer does

ROWS = ([0.25, 0.75], [[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
FAMILIES = {
    "Categorical": (c.Categorical, {}, SKEW),
    "Gaussian": (c.Gaussian, {"d": 1}, (1.0, 4.0)),
    "Poisson": (c.Poisson, {}, 3.0),
    "NextToken": (c.NextToken, {"contexts": "fixed", "unit": "tokens"}, ROWS),
    "GaussianMixture": (c.GaussianMixture, {"k": 2}, ([0.3, 0.7], [-2.0, 1.0], [0.5, 1.0])),
    "LinearRegression": (c.LinearRegression, {}, ([1.0, -1.0], 0.5)),
    "LogisticRegression": (c.LogisticRegression, {}, [1.0, -1.0]),
}


@pytest.mark.parametrize(("kind", "options", "target"), FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("mixing", ["iid", "stratified"])
def test_a_writer_that_is_not_the_model_leaves_real_data_alone(kind, options, target, mixing):
    """The same seed, the same generation 0, whatever a subclass does to writing."""

    class Other(kind):
        def sample(self, theta, n, rng):
            if n.any():
                raise RuntimeError("asked to write")
            return super().sample(theta, n, rng)

    def first(model, share):
        loop = c.iterate(model, target, c.mixture(50, share, 1, mixing=mixing), rng=4)
        return next(loop)[1], loop

    one, _ = first(kind(**options), 0.5)
    two, loop = first(Other(**options), 0.5)
    for x, y in zip(numbers(one), numbers(two), strict=True):
        np.testing.assert_array_equal(x, y)
    with pytest.raises(RuntimeError, match="asked to write"):  # the synthetic part is the writer's
        next(loop)


def numbers(theta):
    return (theta.key, theta.p) if hasattr(theta, "key") else arrays(theta)


class Cold(c.Categorical):
    """It writes at temperature 0.8; `sample_mixture` is inherited."""

    def sample(self, theta, n, rng):
        sharp = theta**1.25
        return super().sample(sharp / sharp.sum(axis=1, keepdims=True), n, rng)


class Wrapped:
    """The same in a wrapper that passes all else on."""

    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        return getattr(self.model, name)

    def sample(self, theta, n, rng):
        return Cold().sample(theta, n, rng)


@pytest.mark.parametrize("model", [Cold(), Wrapped(c.Categorical())], ids=["subclass", "wrapper"])
@pytest.mark.parametrize("plan", [c.mixture(1000, 0.5, 1), c.anchored(1000, 0.5, 1)], ids=repr)
def test_temperature_sharpens_what_is_written_only(model, plan):
    """Means of generations 0 and 1, false alarm 1e-6 a check; 1% in the first token is seen.

    Generation 1 of `mixture` has mean (p + E S(phat_0)) / 2, S(p) to first order in 1/n.
    """
    p = c.targets.zipf(20)
    record = {"first": lambda theta: theta[:, 0]}
    run = c.simulate(model, p, plan, replications=4000, rng=2, record=record)
    sharp = p[0] ** 1.25 / (p**1.25).sum()
    wanted = [p[0], (p[0] + sharp) / 2]
    check(run.values["first"], wanted, at=[0, 1], planted=0.01)
    assert abs(sharp / p[0] - 1) > 0.1  # real data sharpened too would be seen


# Targets that change, and targets with a state


def shifted(t):
    return np.roll(SKEW, t)


@pytest.mark.parametrize(
    "given", [shifted, [shifted(t) for t in range(4)]], ids=["function", "list"]
)
def test_a_target_that_changes_with_t(given):
    """All real: generation t is measured against p_t, whose risk is that of n_t real samples."""
    plan = c.mixture([20, 30, 40, 50], 1.0, 3)
    run = c.simulate(c.Categorical(), given, plan, replications=20_000, rng=3)
    check(run.values["l2"], exact.heterozygosity(SKEW) / plan.n, at=[0, 1, 2, 3], planted=0.1)
    still = c.simulate(c.Categorical(), SKEW, plan, replications=10, rng=3)
    same = c.simulate(c.Categorical(), [SKEW] * 4, plan, replications=10, rng=3)
    np.testing.assert_array_equal(still.values["l2"], same.values["l2"])


def test_the_mean_follows_a_target_that_changes():
    """E theta_t = alpha p_t + (1 - alpha) E theta_{t-1}; false alarm 1e-6, 1% off is rejected."""
    plan, T = c.mixture(50, 0.3, 5), 5
    mean = [shifted(0)]
    for t in range(1, T + 1):
        mean.append(0.3 * shifted(t) + 0.7 * mean[-1])
    record = {"first": lambda theta: theta[:, 0]}
    kw = {"replications": 60_000, "rng": 3, "record": record}
    run = c.simulate(c.Categorical(), shifted, plan, **kw)
    check(run.values["first"], np.array(mean)[:, 0], at=range(T + 1), planted=0.01)
    seen = list(c.iterate(c.Categorical(), shifted, plan, replications=7, rng=1))
    assert [theta.shape for _, theta in seen] == [(7, 3)] * (T + 1)


@pytest.mark.parametrize(
    ("model", "one"),
    [(c.Gaussian(1), (0.0, 1.0)), (c.LinearRegression(), ([1.0, 2.0], 0.5)),
     (c.GaussianMixture(2), ([0.5, 0.5], [-1.0, 1.0])), (c.Categorical(), [0.5, 0.5])],
    ids=repr,
)  # fmt: skip
def test_what_a_model_takes_as_one_target_stays_one(model, one):
    """A pair at T = 1, a triple at T = 2: one target, with as many parts as generations."""
    one = (*one, [1.0, 1.0]) if isinstance(model, c.GaussianMixture) else one
    plan = c.replace(20, len(one) - 1)
    runs = [c.simulate(model, x, plan, replications=3, rng=1) for x in (one, [one] * len(one))]
    for x, y in zip(runs[0].values.values(), runs[1].values.values(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_function_of_t_is_called_once_for_each_generation():
    seen = []
    c.simulate(c.Poisson(), lambda t: seen.append(t) or 1.0 + t, c.replace(5, 3), replications=600)
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("target", "said"),
    {
        "too few": ([SKEW] * 3, "T \\+ 1 = 5, found 3 targets"),
        "one is wrong": ([SKEW] * 4 + [[0.5, 0.6]], "target of generation 4: .*sum"),
        "meant as one": ([0.5, 0.6, 0.1, 0.1, 0.1], "sum to 1 within"),
        "needs more than t": (lambda n, rng: None, "function of t alone"),
        "returns nothing": (lambda t: None, "target of generation 0"),
    }.values(),
)
def test_a_target_that_is_neither_one_nor_many(target, said):
    for run in (c.simulate, c.iterate):
        with pytest.raises((TypeError, ValueError), match=said):
            run(c.Categorical(), target, c.replace(10, 4))


class Counter:
    """Its clock runs with every call, so the numbers would depend on batches and workers."""

    def __init__(self, every):
        self.calls, self.every = 0, every

    def sample(self, n, rng):
        self.calls += 1
        p = shifted(self.calls // self.every)
        return c.Categorical().sample(np.broadcast_to(p, (n.size, 3)), n, rng)


class Own:
    """It brings a generator of its own."""

    def __init__(self):
        self.rng = np.random.default_rng(1)

    def sample(self, n, rng):
        return c.Categorical().sample(np.broadcast_to(SKEW, (n.size, 3)), n, self.rng)


@pytest.mark.parametrize("target", [Counter(1), Own(), Counter(4)], ids=["clock", "rng", "slow"])
def test_a_target_with_a_state_is_refused(target):
    record = {"l2": lambda theta: c.metrics.l2(theta, SKEW)}
    with pytest.raises(
        ValueError, match=r"two draws from equal generators differ.*start\(R, rng\)"
    ):
        c.simulate(c.Categorical(), target, c.mixture(50, 0.5, 6), replications=2, record=record)


class Deck:
    """A deck of cards without replacement: a state, made anew for every batch of replications."""

    def start(self, R, rng):
        return Dealer(np.array([rng.permutation(np.repeat(np.arange(3), 20)) for _ in range(R)]))


class Dealer:
    def __init__(self, order):
        self.order, self.used = order, np.zeros(len(order), dtype=int)

    def sample(self, n, rng):
        take = (np.arange(60) >= self.used[:, None]) & (np.arange(60) < (self.used + n)[:, None])
        self.used = self.used + n
        counts = [
            np.bincount(cards[on], minlength=3) for cards, on in zip(self.order, take, strict=True)
        ]
        return Tokens(np.array(counts) / np.maximum(n, 1)[:, None], n.astype(float))


def test_a_state_made_anew_for_every_batch():
    """Three batches of all 60 cards: everything kept, so every deck is dealt to its end."""
    plan = c.accumulate(20, 2, alpha=1.0)
    record = {"l2": lambda theta: c.metrics.l2(theta, np.full(3, 1 / 3))}
    kw = {"replications": 40, "record": record, "rng": 6}
    runs = [c.simulate(c.Categorical(), Deck(), plan, n_jobs=j, **kw).values["l2"] for j in (1, 2)]
    np.testing.assert_array_equal(*runs)
    assert runs[0][-1].max() < 1e-12 < runs[0][0].max()
