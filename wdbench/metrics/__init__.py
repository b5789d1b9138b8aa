"""What a model is measured by: its outputs, and its weights."""

from wdbench.metrics.coefficients import class_norms, marginal_score, norm_ratio, support, weights
from wdbench.metrics.outputs import (
    classification,
    classwise_ece,
    data_loss,
    error,
    rarest_class,
    rarest_classes,
    temperature,
    tempered_nll,
)

__all__ = [
    "class_norms", "classification", "classwise_ece", "data_loss", "error", "marginal_score", "norm_ratio", "rarest_class",
    "rarest_classes", "support", "temperature", "tempered_nll", "weights",
]
