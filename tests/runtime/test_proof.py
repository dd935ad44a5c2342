"""The exporter's proof runs a graph that has no contract yet."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_models import build_graph, compute_probabilities

from adelecli.errors import ModelError
from adelecli.runtime.proof import open_graph


@pytest.mark.parametrize("optimised", [True, False])
def test_a_graph_runs_without_a_contract(optimised):
    """Probabilities, labels and confidences come in that order and follow the graph's formula."""
    image = np.float32([[[[0.1, 1.2], [1.9, 0.4]]]])
    probabilities, label, confidence = open_graph(build_graph([0, 1, 2]).SerializeToString(), optimised=optimised)(
        image
    )
    expected = compute_probabilities(image[:, 0], [0, 1, 2])
    np.testing.assert_allclose(probabilities, np.moveaxis(expected, -1, 1), atol=1e-6)
    np.testing.assert_allclose(confidence, expected.max(-1), atol=1e-6)
    assert label.tolist() == [[[0, 1], [2, 0]]]


def test_a_graph_that_does_not_load_or_run_is_a_model_error():
    """The export fails with one line, not with the runtime's own exception."""
    with pytest.raises(ModelError, match="the exported graph does not load"):
        open_graph(b"nonsense", optimised=True)
    run = open_graph(build_graph([0, 1]).SerializeToString(), optimised=True)
    with pytest.raises(ModelError, match=r"does not run on \(1, 5, 2, 2\)"):
        run(np.zeros((1, 5, 2, 2), np.float32))
