"""The quantities that figures show: what each column of the tables is called, with its unit."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Label:
    """`text (unit)`; `regression_unit` where the unit depends on the task; `share`: a number between 0 and 1."""

    text: str
    unit: str = ""
    regression_unit: str | None = None
    share: bool = False


_NATS, _VARIANCE = "nats", "½r² ÷ var(y)"


def _loss(text: str) -> Label:
    return Label(text, _NATS, _VARIANCE)


LABELS = {
    "train_loss": _loss("training loss"),
    "val_loss": _loss("validation loss"),
    "test_loss": _loss("test loss"),
    "unseen_loss": _loss("loss on training text not yet seen"),
    "unseen_error": Label("error on training text not yet seen", "share", share=True),
    "objective": _loss("training loss + penalty"),
    "last_finite_loss": _loss("last finite loss"),
    "train_error": Label("training error", "share", share=True),
    "val_error": Label("validation error", "share", share=True),
    "test_error": Label("test error", "share", share=True),
    "generalisation_gap": _loss("test − training loss"),
    "weight_norm": Label("‖w‖₂", "weights of standardised columns"),
    "weight_norm_1": Label("‖w‖₁", "weights of standardised columns"),
    "weight_norm_inf": Label("‖w‖∞", "weights of standardised columns"),
    "max_abs_weight": Label("largest |w| reached", "weights of standardised columns"),
    "bias_norm": Label("‖b‖₂", "outputs"),
    "zero_fraction": Label("weights exactly 0", "share", share=True),
    "participation_ratio": Label("participation ratio (Σw²)²/Σw⁴", "weights"),
    "max_sq_weight": Label("largest w²", "extra risk per unit noise variance"),
    "mean_sq_weight": Label("mean w²", "extra risk per unit noise variance"),
    "nll": Label("test negative log-likelihood", "nats"),
    "ece": Label("calibration error, 15 equal-mass bins", "share", share=True),
    "temperature": Label("temperature T fitted on validation rows", "ratio"),
    "tempered_nll": Label("test negative log-likelihood at temperature T", "nats"),
    "confidence_gap": Label("confidence − accuracy", "share", share=True),
    "minority_confidence_gap": Label("confidence − accuracy, rarest class", "share", share=True),
    "auc": Label("area under the ROC curve", "share", share=True),
    "average_precision": Label("average precision", "share", share=True),
    "balanced_accuracy": Label("balanced accuracy", "share", share=True),
    "minority_recall": Label("recall of the rarest class", "share", share=True),
    "tail_recall": Label("recall of the rarer third of the classes", "share", share=True),
    "head_norm_ratio": Label("smallest ÷ largest ‖w_k‖ of the classes", "ratio"),
    "support_jaccard": Label("overlap of the features kept, between draws", "Jaccard", share=True),
    "support_f1": Label("support F₁", "share", share=True),
    "support_tpr": Label("true features found", "share", share=True),
    "support_fdp": Label("false ones among those kept", "share", share=True),
    "support_f1_topk": Label("support F₁, top k by |w|", "share", share=True),
    "support_f1_marginal": Label("support F₁, marginal screening", "share", share=True),
    "fidelity": Label("decay applied ÷ intended", "projection"),
    "fidelity_norm": Label("decay applied ÷ intended", "lengths"),
    "updates_lost": Label("updates lost to rounding", "share", share=True),
    "curve_gap": Label("distance from the loss curve with decay", "nats"),
    "curve_gap_plain": Label("distance of the loss curve without decay from that with it", "nats"),
    "curve_gap / curve_gap_plain": Label("distance from the loss curve with decay ÷ that without decay", "ratio"),
    "hessian_trace": Label("trace of the Hessian", "nats per weight²"),
    "sharpness": Label("scale-free sharpness", "nats"),
    "stable_rank": Label("mean stable rank of the hidden layers"),
    "effective_rank": Label("mean effective rank of the hidden layers"),
    **{f"jacobian_{of}_{link}": Label(f"‖∂{what}/∂{of}‖", "root mean square")
       for of in "wx" for link, what in (("logits", "z"), ("softmax", "p"))},
    **{f"relative_jacobian_{of}_{link}": Label(f"‖∂{what}/∂{of}‖ ÷ ‖{what}‖", "root mean square")
       for of in "wx" for link, what in (("logits", "z"), ("softmax", "p"))},
    **{f"rotation_{of}{kind}": Label(f"angle of a step, {what}", "radians")
       for of, what in (("", "tensors"), ("neuron_", "neurons")) for kind in ("hidden", "head")},
    **{f"rotation_cv_{kind}": Label("spread of rotation over neurons", "sd ÷ mean") for kind in ("hidden", "head")},
    **{f"rotation_ratio_{kind}": Label("angle of a step ÷ predicted", "ratio") for kind in ("hidden", "head")},
    "gradient_noise": Label("trace of the gradient's covariance", "a row"),
    "noise_scale": Label("gradient noise scale", "rows"),
    **{f"{name}_hidden_{part}": Label(f"{text} {when}", "hidden weights")
       for name, text in (("grad_norm", "‖g‖"), ("grad_ratio", "‖g‖ ÷ ‖w‖"), ("radial", "cos(g, w)"))
       for part, when in (("half", "at half time"), ("end", "at the end"))},
    "init_distance": Label("‖w − w₀‖₂", "weights"),
    "init_cosine": Label("cos(w, w₀)"),
    "loss_slope": Label("slope of log training loss on log step", "decades a decade"),
    "test_loss / 0.6931471805599453": Label("test loss", "bits a byte"),
    "spikes": Label("loss spikes"),
    "spike_steps": Label("steps in loss spikes", "steps"),
    "spike_longest": Label("longest loss spike", "steps"),
    "spike_recovered": Label("loss spikes that recovered", "share", share=True),
    "linf_share": Label("weights at the ball |w| = R", "share", share=True),
    "linf_excess": Label("largest |w| ÷ R, less 1"),
    "linf_residual": Label("distance from the conditions of min L on the ball", "share"),
    "oracle_gap": Label("F(w) − F*", "objective"),
    "oracle_distance": Label("‖w − w*‖₂", "weights"),
    "oracle_certificate": Label("optimality certificate of F*", "objective"),
    "train_seconds": Label("training time", "s"),
    "diverged": Label("diverged runs", "share", share=True),
    "diverged_step": Label("step at which the run diverged", "steps"),
    "lambda": Label("λ", "objective's unit"),
    "lambda_rel": Label("λ", "in units of the data set's anchor"),
    "lambda_clock": Label("ηλT", "decay times in the run"),
    "lambda1": Label("λ₁", "objective's unit"),
    "lambda2": Label("λ₂", "objective's unit"),
    "lambda * lr * sqrt(sqrt(lr))": Label("λ η¹·²⁵", "objective's unit"),
    "lambda * n_train * sqrt(sqrt(n_train))": Label("λ n¹·²⁵", "objective's unit"),
    "lr": Label("learning rate η", "per step"),
    "lr_rel": Label("learning rate η", "in units of the data set's anchor"),
    "decay_per_step": Label("ηλ", "share of w removed per step"),
    "steps": Label("steps", "optimiser steps"),
    "batch_size": Label("batch size", "rows"),
    "replicate": Label("replicate", ""),
    "n_train": Label("training rows n", "rows"),
    "n_per_class": Label("training rows a class", "rows"),
    "per_class": Label("training rows a class m", "rows"),
    "n_features": Label("features p", "columns"),
    "n_classes": Label("classes", ""),
    "n_true": Label("non-zero true weights s", "features"),
    "minority_share": Label("share of the rarest class", "share", share=True),
    "prior": Label("prior of the positive class π", "share", share=True),
    "snr": Label("signal-to-noise ratio", "variance ÷ variance"),
    "rho": Label("correlation ρ of the features", ""),
    "imbalance": Label("imbalance: rows of the largest over the smallest class", "ratio"),
    "label_noise": Label("training labels flipped", "share", share=True),
    "y_shift": Label("shift of y", "noise sd"),
    "init_scale": Label("sd of the initial weights", "weights"),
    "max_error": Label("largest error found", "relative unless the check says otherwise"),
}

# the same of other iterates than the last weights
_ITERATES = {"ema": "averaged weights", "mid": "before the drop of η, or half way",
             "mid_ema": "averaged weights before the drop of η"}
for _column in ("train_loss", "val_loss", "test_loss", "train_error", "val_error", "test_error", "unseen_loss", "unseen_error"):
    for _name, _text in _ITERATES.items():
        LABELS[f"{_name}_{_column}"] = replace(LABELS[_column], text=f"{LABELS[_column].text}, {_text}")
