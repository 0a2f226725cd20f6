"""A layer of torch.nn in ONNX Runtime, the fastest peer for inference: it packs the weights once, when it is loaded."""

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}  # ONNX has i, o, f, g and z, r, n


def session(layer: nn.RNNBase, threads: int) -> onnxruntime.InferenceSession:
    """One layer, one direction, any steps and batch; the input is `x` (time, batch, input)."""
    operator = type(layer).__name__
    gates, hidden = GATES[operator], layer.hidden_size

    def ordered(tensor: torch.Tensor) -> np.ndarray:
        return torch.cat([tensor.detach().chunk(len(gates))[gate] for gate in gates]).numpy()

    weights = {
        "w": ordered(layer.weight_ih_l0),
        "r": ordered(layer.weight_hh_l0),
        "b": np.concatenate([ordered(layer.bias_ih_l0), ordered(layer.bias_hh_l0)]),
    }
    options = {"linear_before_reset": 1} if operator == "GRU" else {}
    node = helper.make_node(operator, ["x", *weights], ["y"], hidden_size=hidden, **options)
    shapes = {"x": [None, None, layer.input_size], "y": [None, 1, None, hidden]}
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    constants = [numpy_helper.from_array(value[None], name) for name, value in weights.items()]
    graph = helper.make_graph([node], operator, [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    # Its threads spin while it runs, as they do by default, but do not take a core from who is measured next.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
