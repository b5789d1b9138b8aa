"""Which weights stay: duplicates (I13), exact zeros (I14), grouping (I32)."""

from collections.abc import Iterator

import numpy as np

from wdbench import penalties, updates
from wdbench.cells import FORMS
from wdbench.identities.problems import data_loss, descend, minimise, regression, tensor, trajectory
from wdbench.identities.registry import Result, check, counter, generator, relative

COPIES = 4


def _duplicates() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x whose first COPIES columns are one column, its distinct columns, and y."""
    distinct, y = regression("I13", 60, 4)
    return np.column_stack([np.repeat(distinct[:, :1], COPIES, axis=1), distinct[:, 1:]]), distinct, y


def _spread(w: np.ndarray) -> float:
    """How far the copies' weights are apart, over their mean."""
    return float(np.ptp(w[:COPIES]) / abs(w[:COPIES].mean()))


@check("I13", "ridge gives k copies w/k each", tolerance=1e-10)
def _() -> Iterator[Result]:
    x, distinct, y = _duplicates()
    for lam in (1e-3, 0.1, 10.0):
        (solution,) = minimise("linear", x, y, "l2", [lam])
        w = solution.W[:, 0]
        # k weights v/k cost 1/k of what one weight v costs: one column whose own penalty is lambda/k
        design = np.column_stack([distinct - distinct.mean(0)])
        single = np.linalg.solve(
            design.T @ design / len(y) + np.diag([lam / COPIES] + [lam] * 3), design.T @ (y - y.mean()) / len(y)
        )
        yield Result(
            COPIES, max(_spread(w), relative(w[:COPIES], np.full(COPIES, single[0] / COPIES))), f"lambda = {lam}"
        )


@check("I13", "elastic net splits evenly as soon as lambda2 > 0", tolerance=1e-8)
def _() -> Iterator[Result]:
    x, _, y = _duplicates()
    for ratio in (0.5, 0.99, 0.9999):
        (solution,) = minimise("linear", x, y, "elastic", [0.1], ratio)
        w = solution.W[:, 0]
        pull = x.T @ (y - x @ w - solution.b) / len(y)
        stationary = relative(pull[w != 0], penalties.gradient(w, *penalties.split("elastic", ratio, 0.1))[w != 0])
        yield Result(COPIES, max(_spread(w), stationary), f"l1_ratio = {ratio}", "and stationary")


@check("I13", "lasso: every split without a change of sign has the same objective", tolerance=1e-12)
def _() -> Result:
    x, _, y = _duplicates()
    (solution,) = minimise("linear", x, y, "l1", [0.1])
    total, rng = solution.W[:COPIES, 0].sum(), generator("I13")

    def objective(W: np.ndarray) -> float:
        return data_loss("linear", x, y, W, solution.b) + float(penalties.value(W, 0.1, 0.0))

    best, error = objective(solution.W), 0.0
    for shares in rng.dirichlet(np.ones(COPIES), 100):
        W = solution.W.copy()
        W[:COPIES, 0] = total * shares
        error = max(error, abs(objective(W) / best - 1))
    return Result(100, error)


@counter(
    "I13",
    "lasso by coordinate descent keeps the copy that it visits first",
    tolerance=1 - 1e-6,
    unit="share of the first copy",
)
def _() -> Iterator[Result]:
    from sklearn.linear_model import Lasso

    x, _, y = _duplicates()
    order = generator("I13", 1).permutation(x.shape[1])
    for name, columns in (("as given", np.arange(x.shape[1])), ("columns permuted", order)):
        w = Lasso(alpha=0.1, tol=1e-12, max_iter=100_000).fit(x[:, columns], y).coef_
        copies = np.abs(w[columns < COPIES])
        yield Result(1, float(copies[0] / copies.sum()), name, "the concentration is a tie-break")


def _sparse(n: int = 50, d: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Centred x, y with five true features; the lasso has no bias to learn."""
    rng = generator("I14", n, d)
    x = rng.standard_normal((n, d))
    x -= x.mean(0)
    y = x[:, :5] @ np.array([2.0, -1.5, 1.0, -0.7, 0.5]) + 0.5 * rng.standard_normal(n)
    return x, y - y.mean()


@check("I14", "optimality: w_j = 0 iff |x_j'r| / n <= lambda", tolerance=1e-8, unit="violation over lambda")
def _() -> Iterator[Result]:
    x, y = _sparse()
    largest = np.abs(x.T @ y).max() / len(y)
    for factor, solution in zip(
        factors := (0.9, 0.3, 0.1, 0.01), minimise("linear", x, y, "l1", [f * largest for f in factors]), strict=True
    ):
        w, lam = solution.W[:, 0], factor * largest
        pull = x.T @ (y - x @ w - solution.b) / len(y)
        off = np.where(w != 0, np.abs(pull - lam * np.sign(w)), np.maximum(np.abs(pull) - lam, 0.0))
        yield Result(
            len(w),
            float(off.max() / lam),
            f"lambda = {factor} lambda_max",
            f"{int((w == 0).sum())} of {len(w)} exactly 0",
        )


def _trained(name: str, coupling: str, lr: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(weights after full-batch training with L1, exact minimiser)."""
    x, y = _sparse()
    lam = 0.2 * np.abs(x.T @ y).max() / len(y)
    (solution,) = minimise("linear", x, y, "l1", [lam])
    gram, moment = tensor(x.T @ x / len(y)), tensor(x.T @ y / len(y))
    start = tensor(generator("I14").standard_normal(x.shape[1]))
    w = descend(
        start,
        lambda w, t: gram @ w - moment,
        steps,
        lr,
        updates.Optimiser(name),
        updates.decay(coupling, lam, 0.0, lr),
        form=FORMS[coupling],
    )
    return w.numpy(), solution.W[:, 0]


RUNS = (("sgd", 0.1), ("momentum", 0.02), ("nesterov", 0.02), ("adam", 0.01))


@check("I14", "prox steps reach the exact zeros of the minimiser", tolerance=0, unit="weights that disagree")
def _() -> Iterator[Result]:
    for name, lr in RUNS:
        found, exact = _trained(name, "coupled", lr, 3000)
        yield Result(
            len(exact),
            int(((found == 0) != (exact == 0)).sum()),
            name,
            f"{int((found == 0).sum())} exact zeros; {relative(found, exact):.1g} from the minimiser",
        )


@check("I14", "prox steps of SGD converge to the minimiser", tolerance=1e-10)
def _() -> Iterator[Result]:
    for name, lr in RUNS[:3]:
        yield Result(1, relative(*_trained(name, "coupled", lr, 3000)), name)


@check("I14", "sub-gradient steps give no exact zero", tolerance=0, unit="share of weights exactly 0")
def _() -> Iterator[Result]:
    for name, lr in RUNS:
        for coupling in ("coupled_subgradient", "decoupled_subgradient"):
            found, exact = _trained(name, coupling, lr, 1000)
            yield Result(
                len(exact),
                float((found == 0).mean()),
                f"{name}, {coupling}",
                f"{int((exact == 0).sum())} zeros in the minimiser",
            )


@counter("I14", "counting |w| < 1e-3 as zero finds zeros where there are none", tolerance=0.1, unit="share of weights")
def _() -> Result:
    found, _ = _trained("sgd", "coupled_subgradient", 1e-3, 10_000)
    return Result(
        len(found),
        float((np.abs(found) < 1e-3).mean()),
        note=f"sub-gradient SGD, lr = 1e-3; exact zeros: {int((found == 0).sum())}",
    )


@counter(
    "I14",
    "sub-gradient SGD oscillates at lr lambda about 0",
    tolerance=0.2,
    unit="share of steps on which a dead weight changes sign",
)
def _() -> Result:
    decay = updates.decay("coupled_subgradient", 0.05, 0.0, 0.1)
    track = trajectory(tensor([0.0137]), lambda w, t: 0 * w, 200, 0.1, decay=decay, form="subgradient")
    return Result(200, float((track[1:].sign() != track[:-1].sign()).double().mean()))


@check(
    "I32",
    "elastic net: |w_i - w_j| <= |y| / lambda2 sqrt(2 (1 - rho_ij) / n)",
    tolerance=1e-9,
    unit="excess over the bound, relative",
)
def _() -> Result:
    rng, excess, pairs, tightest = generator("I32"), -np.inf, 0, 0.0
    for _ in range(1000):
        n, d = int(rng.integers(20, 60)), int(rng.integers(2, 8))
        common, own = rng.standard_normal((n, 1)), rng.uniform(0.05, 2.0)
        x = common + own * rng.standard_normal((n, d))
        x = (x - x.mean(0)) / x.std(0)
        y = x @ rng.uniform(0, 2, d) + rng.standard_normal(n)
        y, lam, ratio = y - y.mean(), float(np.exp(rng.uniform(-4, 0))), float(rng.uniform(0.05, 0.95))
        (solution,) = minimise("linear", x, y, "elastic", [lam], ratio)
        _, lambda2 = penalties.split("elastic", ratio, lam)
        w = solution.W[:, 0]
        bound = np.linalg.norm(y) / lambda2 * np.sqrt(np.maximum(0.0, 2 * (1 - x.T @ x / n)) / n)
        same = np.triu(np.multiply.outer(w, w) > 0, 1)
        if same.any():
            shares = np.abs(np.subtract.outer(w, w))[same] / bound[same]
            pairs += int(same.sum())
            tightest = max(tightest, float(shares.max()))
            excess = max(excess, float(shares.max()) - 1)
    return Result(pairs, max(0.0, excess), note=f"1,000 designs; at most {tightest:.2g} of the bound is used")
