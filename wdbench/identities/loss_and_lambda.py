"""The penalised loss as written down: lambda = 0 (I1), the factor 1/2 (I2), sums and means (I3), derivatives (I4, I12)."""

import numpy as np
import torch

from wdbench import datasets, models, penalties, precision, updates
from wdbench.identities.problems import FP64, SGD, descend, labels, minimise, quadratic, regression, tensor
from wdbench.identities.registry import Result, check, counter, generator, relative

ARITHMETICS = (("fp64", "none"), ("fp32", "none"), ("bf16_compute", "none")) + tuple(
    ("bf16_weights", rounding) for rounding in precision.ROUNDINGS[1:])
LAMBDA = 0.3


def _run(arithmetic, optimiser, decay, subgradient: bool, steps: int = 100) -> torch.Tensor:
    """Weights after minibatch training in `arithmetic`, with a linear schedule and fixed noise."""
    x, y = (tensor(a, arithmetic.compute) for a in regression("I1", 64, 8))
    order = torch.as_tensor(generator("I1").integers(0, 64, (steps, 16)))
    w = tensor(generator("I1", 1).standard_normal(8), arithmetic.master)
    w = precision.nearest(w) if arithmetic.name == "bf16_weights" else w

    def gradient(w, t):
        rows = order[t - 1]
        return quadratic(x[rows], y[rows])(w.to(arithmetic.compute), t).to(arithmetic.master)

    return descend(w, gradient, steps, 0.01, optimiser, decay, arithmetic, lambda t: 1 - (t - 1) / steps, subgradient,
                   generator("I1", 2))


@check("I1", "lambda = 0: bits of the weights after 100 steps", tolerance=0, unit="runs that differ")
def _():
    for name, rounding in ARITHMETICS:
        arithmetic = precision.make(name, rounding)
        runs, differing = 0, []
        for optimiser in map(updates.Optimiser, updates.OPTIMISERS):
            reference = _run(arithmetic, optimiser, updates.Decay(), False)
            for coupling in updates.COUPLINGS:
                plain = updates.decay(coupling, 0.0, 0.0, 0.01)
                for decay in (plain, plain.map(lambda v: torch.full((8,), v, dtype=arithmetic.master))):
                    found = _run(arithmetic, optimiser, decay, coupling in updates.SUBGRADIENT)
                    runs += 1
                    if found.numpy().tobytes() != reference.numpy().tobytes():
                        differing.append(f"{optimiser.name} {coupling}")
        yield Result(runs, len(differing), f"{name}, {rounding}", ", ".join(differing[:3]))


@check("I1", "lambda = 0: bits of a loop without any penalty in it", tolerance=0, unit="weights that differ")
def _():
    x, y = (tensor(a) for a in regression("I1", 64, 8))
    start = tensor(generator("I1", 1).standard_normal(8))
    w = start
    for _ in range(100):
        w = w - 0.01 * quadratic(x, y)(w, 0)
    for coupling in updates.COUPLINGS:
        found = descend(start, quadratic(x, y), 100, 0.01, SGD, updates.decay(coupling, 0.0, 0.0, 0.01), FP64,
                        subgradient=coupling in updates.SUBGRADIENT)
        yield Result(8, int((found != w).sum()), coupling)


@check("I1", "lambda = 0: penalty, gradient and prox vanish", tolerance=0, unit="ulp")
def _():
    w = generator("I1", 3).standard_normal(1000)
    w[:2] = 0.0, -0.0
    for name in penalties.PENALTIES:
        coefficients = penalties.split(name, 0.5, 0.0)
        loss = float(models.squared_loss(tensor(w)[:, None], torch.zeros(1000)))
        error = (abs(loss + penalties.value(w, *coefficients) - loss) + np.abs(penalties.gradient(w, *coefficients)).max()
                 + (penalties.prox(w, *coefficients).tobytes() != w.tobytes()))
        yield Result(len(w), float(error), name)


@check("I1", "lambda = 0: the exact minimiser is that of the loss", tolerance=1e-8)
def _():
    x, y = regression("I1")
    expected = np.linalg.lstsq(np.column_stack([x, np.ones(len(y))]), y, rcond=None)[0]
    for name in ("none", "l1", "l2", "elastic"):
        (solution,) = minimise("linear", x, y, name, [0.0])
        yield Result(1, relative(np.append(solution.W[:, 0], solution.b), expected), name)


@check("I2", "the derivative of lambda/2 |w|^2 is lambda w", tolerance=1e-7)
def _():
    w, h = generator("I2").standard_normal(50), 1e-5
    numeric = [(penalties.value(w + h * e, 0.0, LAMBDA) - penalties.value(w - h * e, 0.0, LAMBDA)) / (2 * h) for e in np.eye(50)]
    yield Result(50, relative(numeric, LAMBDA * w), "central differences")
    leaf = tensor(w).requires_grad_()
    yield Result(50, relative(torch.autograd.grad(penalties.value(leaf, 0.0, LAMBDA), leaf)[0], LAMBDA * w), "autograd")
    yield Result(50, relative(penalties.gradient(w, 0.0, LAMBDA), LAMBDA * w), "penalties.gradient")


def _without_half(x, y, strength: float) -> np.ndarray:
    """(w, b) of the least mean 1/2 r^2 + strength |w|^2."""
    design = np.column_stack([x, np.ones(len(y))])
    ridge = np.diag(np.append(np.full(x.shape[1], 2 * strength), 0.0))
    return np.linalg.solve(design.T @ design / len(y) + ridge, design.T @ y / len(y))


@check("I2", "without 1/2: the same minimisers, at lambda / 2", tolerance=1e-10)
def _():
    x, y = regression("I2")
    for lam in (0.01, 0.3, 10.0):
        (solution,) = minimise("linear", x, y, "l2", [lam])
        strength = penalties.to_convention("why_weight_decay", 0.0, lam)["l2_reg"]
        yield Result(1, relative(np.append(solution.W[:, 0], solution.b), _without_half(x, y, strength)), f"lambda = {lam}")


@counter("I2", "without 1/2, at the same lambda: another minimiser", tolerance=1e-2)
def _():
    x, y = regression("I2")
    (solution,) = minimise("linear", x, y, "l2", [LAMBDA])
    return Result(1, relative(solution.W[:, 0], _without_half(x, y, LAMBDA)[:-1]), note="1/2 is a convention: nothing needs it")


@check("I3", "sum r^2 + L |w|^2 is the mean form at L = n lambda", tolerance=1e-8)
def _():
    for name, x, y in _regressions():
        design = np.column_stack([x, np.ones(len(y))])
        solutions = minimise("linear", x, y, "l2", lambdas := (0.01, 1.0, 30.0))
        error = 0.0
        for lam, solution in zip(lambdas, solutions, strict=True):
            strength = penalties.to_convention("sum_ridge", 0.0, lam, n=len(y))["Lambda"]
            ridge = np.diag(np.append(np.full(x.shape[1], strength), 0.0))
            error = max(error, relative(np.append(solution.W[:, 0], solution.b), np.linalg.solve(design.T @ design + ridge, design.T @ y)))
        yield Result(len(lambdas), error, name)


@check("I3", "sum r^2 + L |w|_1 is the mean form at L = 2 n lambda", tolerance=1e-8, unit="share of L")
def _():
    for name, x, y in _regressions():
        largest = np.abs(x.T @ (y - y.mean())).max() / len(y)
        solutions = minimise("linear", x, y, "l1", lambdas := (0.01 * largest, 0.1 * largest, 0.5 * largest))
        error = 0.0
        for lam, solution in zip(lambdas, solutions, strict=True):
            strength = penalties.to_convention("sum_lasso", lam, 0.0, n=len(y))["Lambda"]
            # optimality of the sum form: 2 x_j'r = L sign(w_j), or |2 x_j'r| <= L where w_j = 0
            w, residual = solution.W[:, 0], y - x @ solution.W[:, 0] - solution.b[0]
            pull = 2 * x.T @ residual
            off = np.where(w != 0, np.abs(pull - strength * np.sign(w)), np.maximum(np.abs(pull) - strength, 0.0))
            error = max(error, off.max() / strength)
        yield Result(len(lambdas), error, name)


def _regressions():
    yield "synthetic", *regression("I3")
    if datasets.status("hitters").available:
        yield "hitters", *_hitters()


def _hitters():
    """Hitters, features z-scored with ddof 0, salaries in thousand dollars."""
    data = datasets.load("hitters")
    return (data.X - data.X.mean(0)) / data.X.std(0), data.y


@check("I3", "hitters: norms that glmnet reports, 6.36 and 57.1", tolerance=1e-3)
def _():
    status = datasets.status("hitters")
    for reported, norm in ((11498.0, 6.36), (705.0, 57.1)):
        case = f"glmnet lambda = {reported:g}"
        if not status.available:
            yield Result(0, np.nan, case, f"unavailable; run: {status.how_to_get}")
            continue
        x, y = _hitters()
        _, lambda2 = penalties.from_convention("glmnet_gaussian", {"lambda": reported, "alpha": 0.0}, y_sd=y.std())
        (solution,) = minimise("linear", x, y, "l2", [lambda2])
        found = float(np.linalg.norm(solution.W[:, 0] / datasets.load("hitters").X.std(0)))
        yield Result(1, abs(found / norm - 1), case, f"norm on the original scale {found:.5g}")


@counter("I3", "the same number in both objectives: another minimiser", tolerance=0.1)
def _():
    x, y = regression("I3")
    (mean_form, sum_form) = minimise("linear", x, y, "l2", [LAMBDA, LAMBDA / len(y)])
    return Result(1, relative(sum_form.W, mean_form.W), note=f"a factor n = {len(y)} in lambda")


@check("I3", "scikit-learn minimises the same objective at the converted numbers", tolerance=1e-6)
def _():
    from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge

    x, y = regression("I3")
    exact = {"tol": 1e-14, "max_iter": 1_000_000}
    for name, penalty, estimator in (("sklearn_ridge", "l2", Ridge), ("sklearn_lasso", "l1", Lasso), ("sklearn_elasticnet", "elastic", ElasticNet)):
        context = {"n": len(y)} if penalty == "l2" else {}
        numbers = penalties.to_convention(name, *penalties.split(penalty, 0.5, LAMBDA), **context)
        fitted = estimator(**numbers, **({} if penalty == "l2" else exact)).fit(x, y)
        (solution,) = minimise("linear", x, y, penalty, [LAMBDA])
        yield Result(1, relative(fitted.coef_, solution.W[:, 0]), name)
    classes = labels(x, 2, "I3")
    strength = penalties.to_convention("sklearn_logistic", 0.0, LAMBDA, n=len(y))["C"]
    fitted = LogisticRegression(C=strength, tol=1e-12, max_iter=10_000, solver="newton-cholesky").fit(x, classes)
    (solution,) = minimise("logistic", x, classes, "l2", [LAMBDA])
    yield Result(1, relative(fitted.coef_[0], solution.W[:, 0]), "sklearn_logistic")


@check("I4", "|w|^2: derivative 2 w, Hessian 2 on the diagonal and 0 off it", tolerance=0, unit="entries that differ")
def _():
    w = tensor(generator("I4").standard_normal(40))
    hessian = torch.autograd.functional.hessian(lambda v: penalties.value(v, 0.0, 2.0), w)
    gradient = torch.autograd.functional.jacobian(lambda v: penalties.value(v, 0.0, 2.0), w)
    yield Result(40, int((gradient != 2 * w).sum()), "gradient")
    yield Result(1600, int((hessian != 2 * torch.eye(40, dtype=w.dtype)).sum()), "Hessian: |w|^2 separates over coordinates")


@check("I4", "the derivative of the sum is the sum of derivatives", tolerance=1e-15)
def _():
    w = generator("I4", 1).standard_normal(40)
    parts = sum(penalties.gradient(np.where(np.arange(40) == i, w, 0.0), 0.0, LAMBDA) for i in range(40))
    return Result(40, relative(penalties.gradient(w, 0.0, LAMBDA), parts), note="so for every sum: what is special is separability")


@counter("I4", "|w| not squared: mixed second derivatives", tolerance=1e-2)
def _():
    w = tensor(generator("I4").standard_normal(4))
    hessian = torch.autograd.functional.hessian(lambda v: (2 * penalties.value(v, 0.0, 1.0)).sqrt(), w)
    return Result(6, float(hessian[~torch.eye(4, dtype=torch.bool)].abs().max()), note="-w_i w_j / |w|^3")


@counter("I4", "|w| not squared: no derivative at 0", tolerance=1.0, unit="jump of the directional derivative")
def _():
    def norm(v):
        return float(np.sqrt(2 * penalties.value(v, 0.0, 1.0)))

    e, h = np.eye(5), 1e-8
    jump = min((norm(h * d) + norm(-h * d)) / h for d in e)
    leaf = torch.zeros(5, requires_grad=True)
    leaf.norm().backward()
    return Result(5, jump, note=f"autograd of w.norm() at 0 gives {float(leaf.grad[0])}")


@check("I12", "marginal cost of a component: lambda |w_i| for L2, lambda for L1", tolerance=1e-14)
def _():
    w = generator("I12").standard_normal(200) * 10
    for name, lambda1, lambda2, expected in (("L2", 0.0, LAMBDA, LAMBDA * np.abs(w)), ("L1", LAMBDA, 0.0, np.full(200, LAMBDA))):
        leaf = tensor(w).requires_grad_()
        found = torch.autograd.grad(penalties.value(leaf, lambda1, lambda2), leaf)[0].abs()
        yield Result(200, relative(found, expected), name)


@check("I12", "k equal parts of one weight: the L2 penalty is divided by k, L1 unchanged", tolerance=1e-14)
def _():
    for k in (2, 7, 100):
        whole, parts = np.array([3.0]), np.full(k, 3.0 / k)
        error = max(abs(penalties.value(parts, 0.0, 1.0) * k / penalties.value(whole, 0.0, 1.0) - 1),
                    abs(penalties.value(parts, 1.0, 0.0) / penalties.value(whole, 1.0, 0.0) - 1))
        yield Result(2, error, f"k = {k}")


@counter("I12", "|w| not squared: the marginal cost is at most lambda", tolerance=1 + 1e-12, unit="lambda", relation="<=")
def _():
    w = tensor(generator("I12").standard_normal(200) * 10).requires_grad_()
    found = torch.autograd.grad((2 * penalties.value(w, 0.0, 1.0)).sqrt(), w)[0].abs()
    return Result(200, float(found.max()), note="the outsize penalty is that of the squared norm")
