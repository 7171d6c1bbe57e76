"""``init`` looks at a file and writes a recipe that is right, or says what to check."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from lstmserve_training.data.reading import read_texts
from lstmserve_training.errors import TrainingError
from lstmserve_training.init.writing import make_name, write_recipe
from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.recipe.schema import Recipe
from lstmserve_training.recipe.sections import Kind


def init(folder: Path, kind: Kind, name: str, content: str) -> tuple[Recipe, str]:
    """The recipe, and its text."""
    (folder / name).write_text(content, encoding="utf-8")
    out = folder / "recipe.toml"
    recipe = write_recipe(kind, folder / name, out)
    assert read_recipe(out) == recipe
    read_texts(recipe, folder)  # it can be run as it is
    return recipe, out.read_text(encoding="utf-8")


def table(header: str, row: str) -> str:
    return header + "\n" + "".join(row.replace("#", str(n)) + "\n" for n in range(40))


@pytest.mark.parametrize(
    ("header", "row", "columns"),
    [
        ("Question,Answer", "what #,that #", ("Question", "Answer", "")),
        ("id,q,a", "#,what #,that #", ("q", "a", "")),
        (
            "Category,customer_query,agent reply",
            "x,what #,that #",
            ("customer_query", "agent reply", ""),
        ),
        ("instruction,intent,response", "what #,i,that #", ("instruction", "response", "")),
        ("prompt,completion,tag #", "what #,that #,x", ("prompt", "completion", "")),
        ("nr,Frage,Antwort", "#,was ist # denn,das ist # hier", ("Frage", "Antwort", "")),
    ],
)
def test_columns_are_found_by_their_names_or_their_length(
    tmp_path: Path, header: str, row: str, columns: tuple[str, str, str]
) -> None:
    recipe, text = init(tmp_path, "replies", "faq.csv", table(header, row))
    found = recipe.sources[0].columns
    assert (found.prompt, found.reply, found.label) == columns
    assert ("check them" in text) is (columns[0] == "Frage")


def test_a_column_of_few_values_is_a_label(tmp_path: Path) -> None:
    rows = "".join(f"what {n},that {n},{'ab'[n % 2]},{n}\n" for n in range(40))
    recipe, _ = init(tmp_path, "replies", "faq.csv", f"question,answer,topic,type\n{rows}")
    assert recipe.sources[0].columns.label == "topic"
    (tmp_path / "recipe.toml").unlink()
    recipe, text = init(tmp_path, "replies", "faq.csv", f"question,answer,x,topic\n{rows}")
    assert recipe.sources[0].columns.label == ""
    assert "column 'topic' has too many different values" in text


def test_conversations_are_lists_or_rows(tmp_path: Path) -> None:
    answer = {"speaker": "assistant", "text": "hello"}
    lines = "\n".join(
        json.dumps({"messages": [{"speaker": "user", "text": f"hi {n}"}, answer], "id": n})
        for n in range(20)
    )
    recipe, _ = init(tmp_path, "conversations", "c.jsonl", lines)
    found = recipe.sources[0].columns
    assert (found.turns, found.role, found.content) == ("messages", "speaker", "text")
    (tmp_path / "recipe.toml").unlink()
    rows = "".join(f"{n},user,hi {n}\n{n},agent,hello {n}\n" for n in range(20))
    recipe, _ = init(tmp_path, "conversations", "c.csv", f"chat_id,sender,message text\n{rows}")
    found = recipe.sources[0].columns
    assert (found.conversation, found.role, found.text) == ("chat_id", "sender", "message text")


def test_lines_and_headlines(tmp_path: Path) -> None:
    recipe, _ = init(tmp_path, "lines", "names.txt", table("first", "line #"))
    assert recipe.kind == "lines"
    (tmp_path / "recipe.toml").unlink()
    recipe, _ = init(tmp_path, "lines", "news.csv", table("date,headline_text", "2026,news #"))
    assert recipe.sources[0].columns.text == "headline_text"


@pytest.mark.parametrize("name", ["names.txt", "names.csv"])
def test_sizes_are_chosen_by_all_rows(tmp_path: Path, name: str) -> None:
    """Of a long file the first rows are looked at; the others count, too."""
    lines = [f"news {number:06}\n" for number in range(50_000)]
    short, _ = init(tmp_path, "lines", name, "title\n" + "".join(lines[:15_000]))
    (tmp_path / "recipe.toml").unlink()
    long, _ = init(tmp_path, "lines", name, "title\n" + "".join(lines))
    assert (short.tokenizer.vocabulary, long.tokenizer.vocabulary) == (1024, 2048)


def test_a_compressed_table_is_looked_into(tmp_path: Path) -> None:
    rows = table("publish_date,headline_text", "200302#,news # today")
    (tmp_path / "news.2003.csv.gz").write_bytes(gzip.compress(rows.encode()))
    recipe = write_recipe("lines", tmp_path / "news.2003.csv.gz", tmp_path / "recipe.toml")
    assert recipe.sources[0].columns.text == "headline_text"
    assert recipe.sources[0].name == "news.2003"
    assert recipe.name == "news"


def test_poems_are_told_from_a_book(tmp_path: Path) -> None:
    poems = "\n\n".join(f"a line {n}\nanother one" for n in range(30))
    recipe, text = init(tmp_path, "text", "poems.txt", poems)
    assert recipe.sources[0].separator == "blank-line"
    assert 'set separator = "file" if it is one long text' in text
    (tmp_path / "recipe.toml").unlink()
    paragraph = "\n".join(["a line of a book that is wrapped where a page of it would end"] * 5)
    recipe, _ = init(tmp_path, "text", "book.txt", f"{paragraph}\n\n" * 30)
    assert recipe.sources[0].separator == "file"
    (tmp_path / "recipe.toml").unlink()
    letters = "".join(map(chr, range(0x4E00, 0x4E00 + 1200)))
    recipe, _ = init(tmp_path, "text", "han.txt", letters)
    assert recipe.tokenizer.kind == "characters"


@pytest.mark.parametrize(
    ("encoding", "delimiter"),
    [("cp1252", ";"), ("utf-8-sig", "|"), ("utf-16", "\t"), ("utf-8", ",")],
)
def test_what_spreadsheets_write_is_recognized(
    tmp_path: Path, encoding: str, delimiter: str
) -> None:
    rows = [["Frage", "Antwort"], *([f"Wo ist Café {n}?", f"Dort {n} €"] for n in range(30))]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    (tmp_path / "fragen.csv").write_bytes(text.encode(encoding))
    recipe = write_recipe("replies", tmp_path / "fragen.csv", tmp_path / "fragen.toml")
    texts = read_texts(recipe, tmp_path)
    assert recipe.sources[0].encoding == encoding.removesuffix("-sig")
    turns = texts.training[0][1][0].turns
    assert turns[0].text.startswith("Wo ist Café")
    assert turns[1].text.endswith("€")


@pytest.mark.parametrize(
    ("kind", "name", "content", "said"),
    [
        ("replies", "faq.txt", "hello", "is plain text; replies need a table"),
        ("conversations", "c.csv", "a,b\n1,2\n", "no columns that say which conversation"),
        ("replies", "one.csv", "question\nx\n", r"2|one\.csv, line 2"),
        ("replies", "empty.csv", "q,a\n", "holds no row"),
        ("lines", "x.bin", "x", "its name does not say what it is"),
    ],
)
def test_a_file_that_does_not_fit_is_told(
    tmp_path: Path, kind: Kind, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(TrainingError, match=said):
        write_recipe(kind, tmp_path / name, tmp_path / "recipe.toml")
    assert not (tmp_path / "recipe.toml").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.toml").write_text("mine")
    with pytest.raises(TrainingError, match=r"a\.toml exists: give another name with --output"):
        write_recipe("lines", tmp_path / "a.txt", tmp_path / "a.toml")
    with pytest.raises(TrainingError, match="no such file"):
        write_recipe("lines", tmp_path / "none.txt", tmp_path / "b.toml")


def test_names_are_such_as_a_store_takes() -> None:
    assert make_name(Path("/x/Our FAQ (2026).csv.gz")) == "our-faq-2026"
    assert make_name(Path("床.txt")) == "model"


def test_what_is_to_be_checked_is_told(tmp_path: Path) -> None:
    """A column of few different words may hold labels, whatever it is called."""
    rows = "".join(f"{n};Wo ist Nummer {n}, bitte?;Dort hinten.;ort\n" for n in range(20))
    rows += "".join(f"{n};Was kostet Nummer {n}?;Zehn Euro;preis\n" for n in range(20, 40))
    (tmp_path / "hotel.csv").write_text(f"Nr;Frage;Antwort;Thema\n{rows}", encoding="utf-8")
    said: list[str] = []
    write_recipe("replies", tmp_path / "hotel.csv", tmp_path / "hotel.toml", said.append)
    assert "column 'Thema' may say what a row is about: label = 'Thema'?" in said
    assert not any("'Nr'" in note for note in said)
    assert all(f"# {note}" in (tmp_path / "hotel.toml").read_text("utf-8") for note in said)
