"""A run of seconds: two dozen questions and answers, written here."""

from __future__ import annotations

from pathlib import Path

RECIPE = """\
name = "faq"
kind = "replies"
license = "proprietary"

[[sources]]
name = "our questions"
files = ["faq.csv"]
columns = { prompt = "Question", reply = "Answer", label = "Topic" }

[tokenizer]
vocabulary = 320

[model]
hidden = 64
layers = 1
dropout = 0.1

[training]
epochs = 2
rows = 4
learning_rate = 0.01

[evaluation]
replies = 3
texts = 10
speed_seconds = 0.005
sample_tokens = 5
"""
THINGS = ("lamp", "coat", "radio", "chair", "phone", "mug", "umbrella", "book")


def write_small_run(folder: Path) -> Path:
    """Write the data and its recipe; return the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["Question,Answer,Topic"]
    for thing in THINGS:
        rows.append(f'Where is my {thing}?,"Your {thing} is on its way.\nWait a day.",track')
        rows.append(f"What is the price of a {thing},The {thing} costs 20 euros.,price")
        rows.append(f"I send the {thing} back,Send the {thing} back within 14 days.,return")
    (folder / "faq.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    path = folder / "faq.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path
