"""The Adversarial Robustness Toolbox's side, run with its own interpreter: ``art_peer.py IN.npz OUT.npz``.

IN: the actor's weights (``w0``, ``b0``, …), ``digits``, ``labels`` and ``epsilons``. OUT: for each epsilon an array of
adversarial inputs, ``e0``, ``e1``, …, by ART's projected gradient descent.
"""

from __future__ import annotations

import sys

import numpy as np
from art.attacks.evasion import ProjectedGradientDescentNumpy
from art.estimators.classification.classifier import ClassGradientsMixin, ClassifierMixin
from art.estimators.estimator import BaseEstimator, LossGradientsMixin


class Network(ClassGradientsMixin, ClassifierMixin, LossGradientsMixin, BaseEstimator):
    """A network of rectified layers, by its weights."""

    estimator_params = BaseEstimator.estimator_params

    def __init__(self, weights, biases):
        super().__init__(model=None, clip_values=(0.0, 1.0))
        self.weights, self.biases = weights, biases
        self._nb_classes = biases[-1].shape[0]
        self._input_shape = (weights[0].shape[0],)

    @property
    def input_shape(self):
        return self._input_shape

    def _layers(self, x):
        layers = [np.asarray(x, dtype=float)]
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            layers.append(np.maximum(layers[-1] @ w + b, 0))
        scores = layers[-1] @ self.weights[-1] + self.biases[-1]
        found = np.exp(scores - scores.max(1, keepdims=True))
        return layers, found / found.sum(1, keepdims=True)

    def predict(self, x, **_):
        return self._layers(x)[1]

    def fit(self, x, y, **_):
        raise NotImplementedError("it is trained already")

    def save(self, filename, path=None):
        raise NotImplementedError("it is kept as weights")

    def class_gradient(self, x, label=None, **_):
        raise NotImplementedError("projected gradient descent asks for the loss's")

    def loss_gradient(self, x, y, **_):
        layers, back = self._layers(x)
        back = back - y
        for at in range(len(self.weights) - 1, -1, -1):
            back = back @ self.weights[at].T
            if at:
                back = back * (layers[at] > 0)
        return back.astype(np.float32)


given = np.load(sys.argv[1])
count = sum(name.startswith("w") for name in given.files)
network = Network([given[f"w{at}"] for at in range(count)], [given[f"b{at}"] for at in range(count)])
onehot = np.eye(10)[given["labels"]]
made = {}
for at, epsilon in enumerate(given["epsilons"]):
    attack = ProjectedGradientDescentNumpy(network, eps=float(epsilon), eps_step=float(epsilon) / 5, max_iter=20,
                                           num_random_init=2, batch_size=256, verbose=False)
    made[f"e{at}"] = attack.generate(given["digits"].astype(np.float32), onehot)
np.savez(sys.argv[2], **made)
