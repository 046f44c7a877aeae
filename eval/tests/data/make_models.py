"""Makes the tiny ONNX models that the tests of tasks run: python make_models.py (onnx 1.23.2)."""

import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


def save(name, inputs, outputs, nodes, constants=()):
    """`inputs` and `outputs` are name, type, shape; `nodes` operator, inputs, outputs, attributes."""
    value = lambda item: helper.make_tensor_value_info(item[0], item[1], item[2])
    made = [helper.make_node(op, takes, gives, name=f"{op.lower()}_{i}", **attributes)
            for i, (op, takes, gives, attributes) in enumerate(nodes)]
    graph = helper.make_graph(made, name, [value(i) for i in inputs], [value(o) for o in outputs],
                              [numpy_helper.from_array(np.asarray(array), label) for label, array in constants])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="codec-eval")
    model.ir_version = 9
    onnx.save(model, os.path.join(HERE, name + ".onnx"))


picture = ("x", FLOAT, [1, 3, "h", "w"])
sound = ("x", FLOAT, [1, "t"])

# The mean of each colour: which one is strongest? Also an embedding.
save("colour", [picture], [("y", FLOAT, [1, 3])], [("ReduceMean", ["x"], ["y"], {"axes": [2, 3], "keepdims": 0})])
save("colour_nhwc", [("x", FLOAT, [1, 4, 4, 3])], [("y", FLOAT, [1, 3])],
     [("ReduceMean", ["x"], ["y"], {"axes": [1, 2], "keepdims": 0})])
# The strongest colour of each pixel, as scores and as numbers.
save("segments", [picture], [("y", FLOAT, [1, 3, "h", "w"])], [("Identity", ["x"], ["y"], {})])
save("segments_whole", [picture], [("y", INT, [1, "h", "w"])], [("ArgMax", ["x"], ["y"], {"axis": 1, "keepdims": 0})])
# Three boxes whose scores are the colours; classes come before scores, as torchvision has them.
save("boxes", [picture], [("boxes", FLOAT, [3, 4]), ("labels", INT, [3]), ("scores", FLOAT, [3])],
     [("ReduceMean", ["x"], ["mean"], {"axes": [2, 3], "keepdims": 0}),
      ("Squeeze", ["mean", "first"], ["scores"], {}),
      ("Identity", ["all"], ["boxes"], {}),
      ("Identity", ["numbers"], ["labels"], {})],
     [("first", np.array([0], np.int64)), ("numbers", np.array([1, 2, 2], np.int64)),
      ("all", np.array([[0, 0, 10, 10], [5, 5, 20, 20], [30, 30, 40, 44]], np.float32))])
# Loud or quiet: is the mean square above 0.04?
save("loudness", [sound], [("y", FLOAT, [1, 2])],
     [("Mul", ["x", "x"], ["square"], {}),
      ("ReduceMean", ["square"], ["mean"], {"axes": [1], "keepdims": 1}),
      ("Sub", ["limit", "mean"], ["quiet"], {}),
      ("Concat", ["mean", "quiet"], ["y"], {"axis": 1})],
     [("limit", np.array([[0.08]], np.float32))])
# How loud: the mean square.
save("score", [sound], [("y", FLOAT, [1, 1])],
     [("Mul", ["x", "x"], ["square"], {}),
      ("ReduceMean", ["square"], ["y"], {"axes": [1], "keepdims": 1})])
# A symbol for each sample: nothing at 0.1, `a` for x, `b` for -x.
save("spell", [sound], [("y", FLOAT, [1, "t", 3])],
     [("Neg", ["x"], ["minus"], {}),
      ("Mul", ["x", "zero"], ["none"], {}),
      ("Add", ["none", "level"], ["blank"], {}),
      ("Unsqueeze", ["blank", "last"], ["b0"], {}),
      ("Unsqueeze", ["x", "last"], ["b1"], {}),
      ("Unsqueeze", ["minus", "last"], ["b2"], {}),
      ("Concat", ["b0", "b1", "b2"], ["y"], {"axis": 2})],
     [("zero", np.float32(0)), ("level", np.float32(0.1)), ("last", np.array([2], np.int64))])
# Middle and side of stereo sound.
save("bands", [("x", FLOAT, [1, 2, "t"])], [("y", FLOAT, [1, 2, "t"])],
     [("Split", ["x", "halves"], ["left", "right"], {"axis": 1}),
      ("Add", ["left", "right"], ["middle"], {}),
      ("Sub", ["left", "right"], ["side"], {}),
      ("Concat", ["middle", "side"], ["y"], {"axis": 1})],
     [("halves", np.array([1, 1], np.int64))])
# What is wrong with models: two inputs, whole numbers, an operator that does not exist, one that fails, no number.
save("two_inputs", [picture, ("z", FLOAT, [1])], [("y", FLOAT, None)], [("Mul", ["x", "z"], ["y"], {})])
save("whole_input", [("x", INT, [1, 3, "h", "w"])], [("y", INT, None)], [("Neg", ["x"], ["y"], {})])
save("unknown_op", [picture], [("y", FLOAT, None)], [("Clairvoyance", ["x"], ["y"], {})])
save("fails", [picture], [("y", FLOAT, None)], [("Reshape", ["x", "shape"], ["y"], {})],
     [("shape", np.array([1, 7], np.int64))])
save("no_number", [picture], [("y", FLOAT, [1, 3])],
     [("ReduceMean", ["x"], ["mean"], {"axes": [2, 3], "keepdims": 0}),
      ("Sub", ["mean", "mean"], ["zero"], {}),
      ("Div", ["zero", "zero"], ["y"], {})])
