"""Models of libraries as integer programs: `of_sklearn`, `of_layers`, …, then `quantise`."""

from troth.compute.models.build import ints, price
from troth.compute.models.quantise import Aim, Quantised, Report, quantise
from troth.compute.models.real import Real

__all__ = ["Aim", "Quantised", "Real", "Report", "ints", "price", "quantise"]
