"""What ``docs/training.md`` says is typed as it stands there, on small data."""

from __future__ import annotations

import gzip
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from lstmserve_bundle import open_bundle
from lstmserve_training import cli

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
SMALL = [
    *("model.hidden=64", "model.layers=1", "training.epochs=1", "tokenizer.vocabulary=320"),
    *("evaluation.replies=2", "evaluation.speed_seconds=0.005", "evaluation.sample_tokens=4"),
    "evaluation.texts=10",
]
WORDS = ["<unk>", "<eos>", "the", "cat", "sat"]


def commands(title: str) -> list[list[str]]:
    """The commands of a section, word by word."""
    section = PAGE.partition(f"{title}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^lstmserve-train .*$", section, re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in lines]


def write_data() -> None:
    rows = "".join(f'{n},how do I return my {n}?,"Pack it.\nSend {n}.",return\n' for n in range(40))
    rows += "".join(f"{n},where is my {n}?,On its way.,track\n" for n in range(40, 80))
    Path("faq.csv").write_text(f"id,customer question,our answer,topic\n{rows}")
    news = "".join(f"200302{n},council opens bridge {n}\n" for n in range(30))
    Path("headlines.csv.gz").write_bytes(gzip.compress(f"date,headline_text\n{news}".encode()))
    Path("poems.txt").write_text("\n\n".join(f"The sea {n}\nis blue" for n in range(30)))
    rnn = nn.LSTM(8, 16)
    weights = {f"rnn.{name}": value for name, value in rnn.state_dict().items()}
    weights["encoder.weight"] = torch.randn(5, 8)
    weights["decoder.weight"], weights["decoder.bias"] = torch.randn(5, 16), torch.zeros(5)
    torch.save(weights, "model.pth")
    Path("vocab.json").write_text('["' + '", "'.join(WORDS) + '"]')
    Path("held-out.txt").write_text("the cat sat\n" * 4)


@pytest.mark.parametrize(
    ("title", "model"),
    [
        ("# Training: your text, or your model", "demo"),
        ("## I have questions and answers", "faq"),
        ("## I have lines", "headlines"),
        ("## I have a book, or poems", "poems"),
        ("## I have a model", "poet"),
    ],
)
def test_the_commands_of_a_section_lead_to_a_model(
    title: str,
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_data()
    found = commands(title)
    assert len(found) >= 2
    for words in found:
        small = SMALL if words[0] == "run" else []
        monkeypatch.setattr(sys, "argv", ["lstmserve-train", *words, *small])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert caught.value.code == 0, capsys.readouterr().err
    assert open_bundle(tmp_path / "model_store" / model / "1").manifest.name == model
