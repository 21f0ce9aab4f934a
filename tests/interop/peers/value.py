"""pyDVL's nearest-neighbour Shapley values: ``value.py IN.npz OUT.npy NEIGHBOURS``. IN holds x, y, validation x, y."""

import sys

import numpy as np
from pydvl.valuation.dataset import Dataset
from pydvl.valuation.methods.knn_shapley import KNNShapleyValuation
from sklearn.neighbors import KNeighborsClassifier

given = np.load(sys.argv[1])
names = [str(at) for at in range(given["x"].shape[1])]
train, validation = (Dataset(given[x].astype(np.float64), given[y], names, ["label"])
                     for x, y in (("x", "y"), ("vx", "vy")))
method = KNNShapleyValuation(KNeighborsClassifier(int(sys.argv[3])), validation, progress=False)
result = method.fit(train).result
values = np.zeros(len(given["y"]))
values[result.indices] = result.values
np.save(sys.argv[2], values)
