"""Models that people have are imported, and compute what they computed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from lstmserve_bundle import open_bundle
from lstmserve_training import cli
from lstmserve_training.errors import DataError, TrainingError
from lstmserve_training.export import load_module
from lstmserve_training.importing.network import Original, find_network, to_model
from lstmserve_training.importing.vocabulary import Vocabulary, read_vocabulary
from lstmserve_training.importing.weights import read_weights
from lstmserve_training.int8_lstm import known_deprecations
from lstmserve_training.quantize import use_quantized_engine
from lstmserve_training.recipe.sections import TokenizerSection, WeightsSection
from lstmserve_training.stepper import FloatLstm

WORDS = ["<unk>", "<eos>", "the", "a", "cat", "dog", "sat", "ran"]
WORDS += ["on", "under", "mat", "tree", "and", "then", "slept"]
SECTION = WeightsSection(file="model.pth", vocabulary="vocab.json")


class Model(nn.Module):
    """A word-level language model as tutorials have it."""

    def __init__(
        self, width: int = 20, hidden: int = 50, layers: int = 2, projection: int = 0
    ) -> None:
        super().__init__()
        torch.manual_seed(hidden + layers)
        self.encoder = nn.Embedding(len(WORDS), width)
        self.rnn = nn.LSTM(width, hidden, layers, batch_first=True, proj_size=projection)
        self.decoder = nn.Linear(projection or hidden, len(WORDS))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(2.5)  # logits far from uniform

    def forward(self, token_ids: Tensor) -> Tensor:
        logits: Tensor = self.decoder(self.rnn(self.encoder(token_ids))[0])
        return logits


def save(folder: Path, weights: object, name: str = "model.pth") -> Path:
    torch.save(weights, folder / name)
    return folder / name


def read(stepper: FloatLstm, tokens: Tensor) -> Tensor:
    """Logits [rows, steps, tokens]."""
    state = stepper.initial_state(len(tokens))
    logits = []
    for column in tokens.unbind(1):
        found, state = stepper.step(state, column)
        logits.append(found)
    return torch.stack(logits, 1)


def some_tokens() -> Tensor:
    return torch.randint(len(WORDS), (4, 25), generator=torch.Generator().manual_seed(1))


def logits_of(path: Path, section: WeightsSection = SECTION) -> Tensor:
    """What the imported model computes in floats."""
    network = find_network(read_weights(path), section)
    with torch.no_grad():
        return read(FloatLstm(to_model(network, 64, {})).eval(), some_tokens())[..., : len(WORDS)]


# --- the weights ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"layers": 1, "hidden": 64, "width": 64},
        {"layers": 4, "hidden": 30},
        {"projection": 24},
        {"projection": 7, "layers": 3, "width": 7},
    ],
)
def test_imported_weights_compute_what_the_model_computes(
    tmp_path: Path, sizes: dict[str, int]
) -> None:
    model = Model(**sizes).eval()
    path = save(tmp_path, model.state_dict())
    with torch.no_grad():
        expected = model(some_tokens())
    torch.testing.assert_close(logits_of(path), expected, atol=1e-4, rtol=1e-4)
    network = find_network(read_weights(path), SECTION)
    torch.testing.assert_close(Original(network).eval()(some_tokens()), expected)


def test_a_tied_output_layer_may_be_saved_once(tmp_path: Path) -> None:
    model = Model(width=64, hidden=64).eval()
    model.decoder.weight = model.encoder.weight
    weights = {k: v for k, v in model.state_dict().items() if not k.startswith("decoder")}
    with torch.no_grad():
        model.decoder.bias.zero_()
        expected = model(some_tokens())
    torch.testing.assert_close(logits_of(save(tmp_path, weights)), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["state_dict", "model"])
def test_a_checkpoint_of_a_training_loop_is_looked_into(tmp_path: Path, name: str) -> None:
    model = Model().eval()
    inner = {f"module.{key}": value for key, value in model.state_dict().items()}
    path = save(tmp_path, {name: inner, "epoch": 3, "optimizer": {"lr": 0.1}})
    with torch.no_grad():
        torch.testing.assert_close(logits_of(path), model(some_tokens()), atol=1e-4, rtol=1e-4)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("how", ["script", "trace"])
def test_weights_of_dynamic_quantization_are_unpacked(tmp_path: Path, how: str) -> None:
    use_quantized_engine()
    model = Model().eval()
    with known_deprecations(), torch.no_grad():
        quantized = torch.ao.quantization.quantize_dynamic(
            model, {nn.LSTM, nn.Linear}, dtype=torch.qint8
        )
        if how == "trace":
            module = torch.jit.trace(quantized, some_tokens())
        else:
            module = torch.jit.script(quantized)
        torch.jit.save(module, tmp_path / "q.pt")
        expected = model(some_tokens())
    found = logits_of(tmp_path / "q.pt")
    step = float(model.rnn.weight_hh_l0.detach().abs().max()) / 127
    assert 0 < float((found - expected).abs().max()) < 1.0
    weights = read_weights(tmp_path / "q.pt")
    difference = (weights["rnn.weight_hh_l0"] - model.rnn.weight_hh_l0.detach()).abs().max()
    assert float(difference) <= step
    assert torch.equal(weights["rnn.bias_hh_l1"], model.rnn.bias_hh_l1)


def test_a_torchscript_module_of_floats_is_read(tmp_path: Path) -> None:
    model = Model().eval()
    with known_deprecations():
        torch.jit.save(torch.jit.script(model), tmp_path / "f.pt")
    with torch.no_grad():
        expected = model(some_tokens())
    torch.testing.assert_close(logits_of(tmp_path / "f.pt"), expected, atol=1e-4, rtol=1e-4)


def test_safetensors_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model().eval()
    (tmp_path / "m.safetensors").write_bytes(b"{}")
    library = ModuleType("safetensors.torch")
    library.load_file = lambda _path: model.state_dict()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "safetensors", ModuleType("safetensors"))
    monkeypatch.setitem(sys.modules, "safetensors.torch", library)
    assert torch.equal(read_weights(tmp_path / "m.safetensors")["decoder.bias"], model.decoder.bias)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(DataError, match=r"pip install safetensors"):
        read_weights(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cut.pth", None, "is no state dict that torch can read"),
        ("words.pth", b"the old letter\n", "is no state dict that torch can read"),
        ("empty.pth", b"", "is no state dict that torch can read"),
    ],
)
def test_a_damaged_file_is_named(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    torch.save(Model().state_dict(), tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(DataError, match=rf"{name}: {said}"):
        read_weights(tmp_path / name)


def test_weights_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    weights = Model().state_dict()
    weights["decoder.bias"][2] = float("nan")
    torch.save(weights, tmp_path / "m.pth")
    with pytest.raises(DataError, match=r"m\.pth: decoder\.bias holds values that are no finite"):
        read_weights(tmp_path / "m.pth")


class Bomb:
    """Reading a pickled one creates a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self._path,)  # type: ignore[return-value]


def test_no_code_in_a_file_is_run(tmp_path: Path) -> None:
    path = save(tmp_path, {"weights": Bomb(tmp_path / "exploded")})
    with pytest.raises(DataError, match=r"holds more than weights, such as a whole module"):
        read_weights(path)
    assert not (tmp_path / "exploded").exists()


def gru() -> dict[str, Tensor]:
    return {f"rnn.{name}": value for name, value in nn.GRU(20, 50).state_dict().items()}


def lstm(**keys: bool) -> dict[str, Tensor]:
    return {f"rnn.{name}": value for name, value in nn.LSTM(20, 50, **keys).state_dict().items()}


TABLES = {"encoder.weight": torch.zeros(15, 20), "decoder.weight": torch.zeros(15, 50)}


@pytest.mark.parametrize(
    ("weights", "keys", "said"),
    [
        ({**TABLES, **gru()}, {}, r"rnn: is a GRU; only LSTMs are served"),
        ({**TABLES, **lstm(bidirectional=True)}, {}, r"rnn: is bidirectional"),
        (TABLES, {}, r"0 LSTMs are in the file \(encoder\.weight \[15, 20\]"),
        ({**TABLES, **lstm(), "norm.weight": torch.ones(50)}, {}, r"not served: norm\.weight"),
        ({**TABLES, **lstm(), "b.weight_ih_l0": torch.zeros(8, 2)}, {}, r"2 LSTMs .*rnn, b\)"),
        ({**TABLES, **lstm()}, {"lstm": "gru"}, r"--lstm gru: no such LSTM; there are: rnn"),
        ({**TABLES, **lstm()}, {"output": "head"}, r"--output head: there is no such matrix"),
        ({**TABLES, **lstm()}, {"output": "encoder"}, r"--output encoder: has 20 columns"),
        (
            {**lstm(), "x": torch.zeros(3, 20), "y": torch.zeros(3, 20)},
            {},
            r"which matrix is the emb",
        ),
        (
            {
                **TABLES,
                "rnn.weight_ih_l0": torch.zeros(9000, 20),
                "rnn.weight_hh_l0": torch.zeros(9000, 2250),
            },
            {},
            r"2250 values per layer; at most 2048",
        ),
        ([1, 2], {}, r"holds list, not weights by name"),
        ({"epoch": 3}, {}, r"holds no weights; there are: epoch"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(
    tmp_path: Path, weights: object, keys: dict[str, str], said: str
) -> None:
    path = save(tmp_path, weights)
    with pytest.raises(DataError, match=said):
        find_network(read_weights(path), SECTION.model_copy(update=keys))


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04"])
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(DataError, match=r"model\.pth"):
        read_weights(tmp_path / "model.pth")


# --- the vocabulary ------------------------------------------------------------------------------


def vocabulary(folder: Path, document: object, name: str = "vocab.json", **keys: str) -> Vocabulary:
    text = document if isinstance(document, str) else json.dumps(document)
    (folder / name).write_text(text, encoding="utf-8")
    section = SECTION.model_copy(update=keys)
    return read_vocabulary(folder / name, section, TokenizerSection())


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (WORDS, "vocab.json"),
        ({word: number for number, word in enumerate(WORDS)}, "vocab.json"),
        ({str(number): word for number, word in enumerate(WORDS)}, "vocab.json"),
        ({"stoi": {word: number for number, word in enumerate(WORDS)}}, "vocab.json"),
        ("\n".join(WORDS) + "\n", "vocab.txt"),
    ],
)
def test_vocabularies_of_every_form_keep_their_ids(
    tmp_path: Path, document: object, name: str
) -> None:
    found = vocabulary(tmp_path, document, name)
    assert found.tokenizer.encode(" the  cat\nsat bird").ids == [2, 4, 6, 0]
    assert (found.end_token, found.unknown, found.num_own) == ("<eos>", "<unk>", 15)
    assert found.tokenizer.get_vocab_size() == 64


def test_characters_are_tokens_of_their_own(tmp_path: Path) -> None:
    found = vocabulary(tmp_path, ["\n", " ", "a", "床", "é"])
    assert found.tokenizer.encode("a 床\né").ids == [2, 1, 3, 0, 4]
    # a text begins as a line does
    assert found.borrowed == {5: 0}
    assert found.end_token == "<|end|>"


def test_a_text_begins_with_what_began_it_in_training(tmp_path: Path) -> None:
    found = vocabulary(tmp_path, ["<pad>", "<sos>", "<eos>", "a", "b"])
    assert found.end_token == "<eos>"
    assert found.borrowed == {2: 1}
    assert found.tokenizer.encode("ab").ids == [3, 4]  # characters, whatever <sos> is spelled like
    weights = {"rnn.weight_ih_l0": torch.randn(8, 3), "rnn.weight_hh_l0": torch.randn(8, 2)}
    weights |= {"emb.weight": torch.randn(5, 3), "out.weight": torch.randn(5, 2)}
    model = to_model(find_network(weights, SECTION), 64, found.borrowed)
    assert torch.equal(model.embedding.weight[2], weights["emb.weight"][1])
    assert torch.equal(model.output_weights[2, :2], weights["out.weight"][2])


@pytest.mark.parametrize(
    ("document", "keys", "said"),
    [
        ({"a": 0, "b": 2}, {}, r"the ids of 2 tokens are not 0, 1, 2"),
        (["a", "a"], {}, r"'a' stands twice"),
        ([], {}, r"no token"),
        ([1, 2], {}, r"must hold an object of tokens"),
        ("{", {}, r"vocab\.json: not JSON"),
        (WORDS, {"end": "</s>"}, r"weights\.end: '</s>' is not in the vocabulary"),
    ],
)
def test_a_vocabulary_that_is_none_is_named(
    tmp_path: Path, document: object, keys: dict[str, str], said: str
) -> None:
    with pytest.raises(TrainingError, match=said):
        vocabulary(tmp_path, document, **keys)


# --- the verb ------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model, its vocabulary and a text, in the current folder."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path, Model().state_dict(), "poet.pth")
    Path("vocab.json").write_text(json.dumps(WORDS))
    Path("text.txt").write_text("the cat sat on the mat\na dog slept\nthe bird ran\n" * 4)
    return tmp_path


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["lstmserve-train", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


IMPORT = ("import", "--state-dict", "poet.pth", "--vocab", "vocab.json", "--text", "text.txt")


def test_one_command_imports_and_publishes(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *IMPORT, "--license", "MIT") == 0
    said = capsys.readouterr().out
    assert "the embedding is encoder.weight" in said
    assert "the most likely token is the original's in 100.00%" in said
    assert "of the held-out tokens are unknown to the vocabulary" in said
    assert "published model_store/poet/1" in said.replace(f"{files}/", "")

    bundle = open_bundle(files / "model_store" / "poet" / "1")
    assert bundle.manifest.license == "MIT"
    assert bundle.manifest.training.steps == 0
    measures = bundle.manifest.evaluation
    assert float(measures["parity_largest_difference_fp32"]) < 1e-3
    assert float(measures["parity_greedy_agreement_int8"]) > 0.8
    assert "label_accuracy_int8" not in measures
    prompt = bundle.template.render_prompt("the cat")
    assert prompt == [1, 2, 4]
    assert bundle.tokenizer.decode([2, 4, 1, 0]) == " the cat"

    # greedily it goes on as the original does, and never writes the unknown word
    module, model = load_module(bundle.model_path), Model().eval()
    state = module.initial_state(1)
    for token in prompt:
        logits, state = module.step(state, torch.tensor([token]))
    with torch.no_grad():
        expected = model(torch.tensor([prompt]))[0, -1]
    expected[0] = -10_000.0
    assert int(logits.argmax()) == int(expected.argmax())

    assert call(monkeypatch, *IMPORT, "--license", "MIT") == 0
    assert "already finished" in capsys.readouterr().out
    assert call(monkeypatch, "run", "poet.toml") == 0
    assert call(monkeypatch, "train", "poet.toml") == 1
    assert "has weights that exist; take 'run' instead" in capsys.readouterr().err
    assert call(monkeypatch, *IMPORT, "--license", "other") == 1
    assert "poet.toml exists and says something else" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "--vocab", "vocab.json", "--text", "text.txt"), "give one of --state-dict and"),
        ((*IMPORT, "--lstm", "x"), "--lstm x: no such LSTM; there are: rnn"),
        ((*IMPORT[:2], "none.pth", *IMPORT[3:]), "none.pth: no such file"),
    ],
)
def test_what_cannot_be_imported_is_told(
    files: Path,
    arguments: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, *arguments) == 1
    assert said in capsys.readouterr().err


def test_what_is_particular_to_a_model_goes_into_its_recipe(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("text.txt").write_text("THE Cat sat\n" * 12)
    assert call(monkeypatch, *IMPORT, "--lowercase", "--start", "and") == 0
    said = capsys.readouterr().out
    assert "unknown to the vocabulary" not in said
    assert "the most likely token is the original's in 100.00%" in said
    bundle = open_bundle(files / "model_store" / "poet" / "1")
    assert bundle.template.render_prompt("The CAT") == [1, 2, 4]


def test_a_vocabulary_of_another_model_is_refused(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("vocab.json").write_text(json.dumps([*WORDS, "more"]))
    assert call(monkeypatch, *IMPORT) == 1
    assert "encoder.weight has 15 rows, but vocab.json 16 tokens" in capsys.readouterr().err
