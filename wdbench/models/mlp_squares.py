"""The multilayer perceptron with one output and squared error, for regression: a loss that has a minimum, where cross-entropy on
separable data has none.
"""

from wdbench.models import norms
from wdbench.models.families import Family, register
from wdbench.models.losses import squared_loss
from wdbench.models.mlp import MLP, OPTIONS, stacked

register(Family("mlp_squares", ("regression",), MLP, squared_loss, options=OPTIONS, frozen=norms.frozen,
                conflict=norms.conflict(OPTIONS), stacked=stacked))
