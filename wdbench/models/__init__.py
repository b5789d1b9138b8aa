"""The models: ordinary torch modules of one model each, and the data loss that goes with it.

A model says nothing of stacks, penalties or precision; `Family` adds what the engine must know of it.
"""

from wdbench.models import cnn, gpt, mlp, mlp_squares, preact, resnet, vgg  # noqa: F401  (they register themselves)
from wdbench.models.families import FAMILIES, Family, Setting, canonical, parse, register
from wdbench.models.linear import Affine
from wdbench.models.losses import logistic_loss, softmax_loss, squared_loss

__all__ = ["FAMILIES", "Affine", "Family", "Setting", "canonical", "logistic_loss", "parse", "register", "softmax_loss",
           "squared_loss"]
