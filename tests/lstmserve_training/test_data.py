"""Files of every form, also hostile ones: what is read, and what is named."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lstmserve_training.data import room
from lstmserve_training.data.examples import Example, RowCounts, Turn, read_examples
from lstmserve_training.data.reading import Texts, read_texts
from lstmserve_training.errors import DataError, MissingInputError, TrainingError
from lstmserve_training.recipe.reading import check
from lstmserve_training.recipe.schema import Recipe

PAIR = {"prompt": "q", "reply": "a"}
CHAT = {"turns": "turns", "role": "role", "content": "content"}


def read(
    folder: Path,
    content: bytes | str,
    name: str = "faq.csv",
    kind: str = "replies",
    **source: object,
) -> list[Example]:
    """The examples in one file."""
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    recipe = make(kind, [{"files": [name], **source}])
    return read_examples(recipe, recipe.sources[0], folder, RowCounts())


def make(kind: str, sources: list[dict[str, Any]], **keys: object) -> Recipe:
    whole = [{"name": "ours", "columns": PAIR, **source} for source in sources]
    return check({"name": "m", "kind": kind, "license": "x", "sources": whole, **keys}, "test")


def pairs(examples: list[Example]) -> list[tuple[str, ...]]:
    return [tuple(turn.text for turn in example.turns) for example in examples]


# --- forms --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("q,a\nhello,hi\n", "faq.csv"),
        ("\ufeffq,a\nhello,hi\n", "faq.csv"),
        ("q,a\r\nhello,hi\r\n", "faq.csv"),
        ("q,a\n\nhello,hi", "faq.csv"),
        (" q , a \nhello,hi", "faq.csv"),
        ('extra,q,a\nx,"hello","hi"\n', "faq.csv"),
        ("q\ta\nhello\thi\n", "faq.tsv"),
        ('{"q": "hello", "a": "hi"}\n\n', "faq.jsonl"),
        ('\ufeff{"q": "hello", "a": "hi"}\n', "faq.jsonl"),
        ('[{"q": "hello", "a": "hi", "n": 3}]', "faq.json"),
        (gzip.compress(b"q,a\nhello,hi\n", mtime=0), "faq.csv.gz"),
    ],
)
def test_every_form_gives_the_same_pairs(tmp_path: Path, content: bytes | str, name: str) -> None:
    assert pairs(read(tmp_path, content, name)) == [("hello", "hi")]


def test_what_the_recipe_says_goes_before_the_name(tmp_path: Path) -> None:
    found = read(tmp_path, "q;a\nhello;hi\n", "export.dat", format="csv", delimiter=";")
    assert pairs(found) == [("hello", "hi")]


def test_latin_1_and_utf_16_are_read_when_they_are_named(tmp_path: Path) -> None:
    latin = read(tmp_path, "q,a\ncafé,Ürün\n".encode("latin-1"), encoding="latin-1")
    assert pairs(latin) == [("café", "Ürün")]
    wide = read(tmp_path, "q,a\ncafé,床\n".encode("utf-16"), encoding="utf-16")
    assert pairs(wide) == [("café", "床")]


def test_quotes_newlines_and_delimiters_stay_in_a_cell(tmp_path: Path) -> None:
    found = read(tmp_path, 'q,a\n"say ""hi"", please","one\r\ntwo\n\n three "\n')
    assert pairs(found) == [('say "hi", please', "one\ntwo\n\n three ")]


def test_nothing_of_a_text_is_rewritten(tmp_path: Path) -> None:
    text = "  PayPal or Google Pay, apple juice;\t12345 a@b.c http://x.y <|user|> 床e\u0301 "
    (only,) = read_texts_of(tmp_path, [(text, f"{text}!")] * 3 + [(f"{n}", "x") for n in range(9)])
    assert (text, f"{text}!") in pairs(only)


def read_texts_of(folder: Path, rows: list[tuple[str, str]]) -> list[list[Example]]:
    lines = [json.dumps({"q": q, "a": a}) for q, a in rows]
    (folder / "faq.jsonl").write_text("\n".join(lines))
    texts = read_texts(make("replies", [{"files": ["faq.jsonl"]}]), folder)
    held = [e for parts in texts.held_out.values() for _, examples in parts for e in examples]
    return [[*texts.training[0][1], *held]]


def test_parquet_is_read_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = SimpleNamespace(to_pylist=lambda: [{"q": "hello", "a": "hi"}, {"q": 3, "a": None}])
    parquet = ModuleType("pyarrow.parquet")
    parquet.ParquetFile = lambda _path: SimpleNamespace(  # type: ignore[attr-defined]
        iter_batches=lambda: iter([batch])
    )
    package = ModuleType("pyarrow")
    package.parquet = parquet  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyarrow", package)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", parquet)
    assert pairs(read(tmp_path, b"PAR1", "faq.parquet")) == [("hello", "hi")]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install pyarrow"):
        read(tmp_path, b"PAR1", "faq.parquet")


# --- what is wrong is named -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"faq\.csv: is empty"),
        (b"a,q,a\n", r"two columns are called 'a'"),
        (b"question,a\nx,y\n", r"line 2: no column 'q'; there are: 'question', 'a'\. Set columns"),
        (b"q\nx\n", r"line 2: no column 'a'; there are: 'q'"),
        (b"q;a\nx;y\n", r'line 1: one column, called .q;a.: set delimiter = ";"'),
        (b"\x1f\x8bxyz", r"faq\.csv: is packed by gzip: let its name end in \.gz"),
        (b"PK\x03\x04xyz", r"faq\.csv: is a spreadsheet or a zip archive: export it as CSV"),
        (b'q,a\nx,y\n"never,closed\n\n\n', "line 3: in the row that begins there, .*a quote"),
        (b"q,a\nfine,ok\nx,y,z\n", r"line 3: 3 cells, but the first line names 2 columns"),
        (b"q,a\nx\n", r"line 2: 1 cells"),
        (b'q,a\nx,"y\nnever closed\n', r"line 2: .*a quote is not closed"),
        (b'q,a\n"x"y,z\n', r"line 2: .*quote"),
        ("q,a\nok,fine\ncafé,x\n".encode("latin-1"), r"line 3, column 4: byte 0xe9 is not utf-8"),
        (b"q,a\nok,n\x00l\n", r"line 2, column 5: a NUL character"),
        ("q,a\nx,y\n".encode("utf-16"), r"begins as UTF-16 does: set encoding"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path, content)
    assert str(tmp_path / "faq.csv") in str(caught.value)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ISO8859_15"])
def test_a_line_in_another_encoding_than_the_rest_is_named(tmp_path: Path, encoding: str) -> None:
    lines = [b"q,a", "café,Öl".encode(encoding), "wo ist die Tür,hier".encode()]
    with pytest.raises(DataError, match=r"line 3, column 13: 'ü' is in UTF-8") as caught:
        read(tmp_path, b"\n".join(lines), encoding=encoding)
    assert f"the file is to be {encoding}: it mixes encodings" in str(caught.value)
    assert pairs(read(tmp_path, b"\n".join(lines[:2]), encoding=encoding)) == [("café", "Öl")]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_text_that_does_not_fit_into_memory_is_told_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    content = "q,a\n" + "what,that\n" * 2000
    name = f"faq.csv{suffix}"
    (tmp_path / name).write_bytes(gzip.compress(content.encode()) if suffix else content.encode())
    recipe = make("replies", [{"files": [name]}], augmentation={"variants": 3})
    monkeypatch.setattr(room, "MIN_BYTES", 1)
    needed = room.estimate(2001, len(content), 3)
    monkeypatch.setattr(room, "free_bytes", lambda: needed)
    room.check_room(recipe, tmp_path)
    monkeypatch.setattr(room, "free_bytes", lambda: (needed + room.FIXED_BYTES) // 2)
    with pytest.raises(DataError, match=r"1 files with 2,001 rows need about .* first 1,000 rows"):
        read_texts(recipe, tmp_path)
    monkeypatch.setattr(room, "free_bytes", lambda: None)
    room.check_room(recipe, tmp_path)


def test_the_memory_that_is_free_is_that_of_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MEMORY_FILE", "LIMIT_FILE", "USED_FILE"):
        monkeypatch.setattr(room, name, tmp_path / name)
    assert room.free_bytes() is None
    (tmp_path / "MEMORY_FILE").write_text("MemTotal: 9 kB\nMemAvailable:    8 kB\n")
    assert room.free_bytes() == 8192
    (tmp_path / "LIMIT_FILE").write_text("max\n")
    (tmp_path / "USED_FILE").write_text("1000\n")
    assert room.free_bytes() == 8192
    (tmp_path / "LIMIT_FILE").write_text("5000\n")
    assert room.free_bytes() == 4000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"q": "x", "a": "y"}\n{"q": ', r"line 2: not JSON"),
        ("[1, 2]", r"object 1: must be an object"),
        ('"text"', r"line 1: must be an object"),
        ('{"q": ["x"], "a": "y"}', r"line 1: 'q' holds no text but list"),
        ('{"q": "x"}', r"line 1: no column 'a'"),
        (r'{"q": "x", "a": "y \ud83d"}', r"line 1, 'a', character 3: half of a character"),
        (r'{"q": "x", "a": "y\u0000"}', r"line 1, 'a', character 2: a NUL character"),
    ],
)
def test_json_that_cannot_be_read_is_named(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, content, "faq.jsonl")


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("faq.xyz", {}, r"its name does not say what it is; set 'format'"),
        ("faq.txt", {}, r"is plain text; replies need a table"),
        ("faq.csv", {"encoding": "klingon"}, r"encoding 'klingon': there is none"),
        ("faq.csv.gz", {}, r"faq\.csv\.gz: cannot be read: Not a gzipped file"),
        ("faq.csv", {"columns": {}}, r"'columns\.prompt' is not set; there are: 'q', 'a'"),
    ],
)
def test_a_source_that_fits_no_file_is_named(
    tmp_path: Path, name: str, source: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, "q,a\nx,y\n", name, **source)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    recipe = make("replies", [{"files": ["none-*.csv"]}])
    with pytest.raises(MissingInputError, match=r"none-\*\.csv: no such file; source 'ours'"):
        read_texts(recipe, tmp_path)


def test_a_cell_of_megabytes_is_read_and_its_row_is_told_apart(tmp_path: Path) -> None:
    huge = "word " * 500_000
    ((prompt, _),) = pairs(read(tmp_path, f"q,a\n{huge},y\n"))
    assert prompt == huge


def test_empty_cells_are_dropped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "faq.csv").write_text("q,a\n ,y\nx,\nx,y\n")
    recipe, counts = make("replies", [{"files": ["faq.csv"]}]), RowCounts()
    assert pairs(read_examples(recipe, recipe.sources[0], tmp_path, counts)) == [("x", "y")]
    assert counts.rows == 3
    assert {reason: len(places) for reason, places in counts.dropped.items()} == {
        "empty prompt": 1,
        "empty reply": 1,
    }
    assert counts.dropped["empty reply"][0].endswith("faq.csv, line 3")


# --- conversations and text -------------------------------------------------------------------


def test_conversations_are_lists_of_turns_or_rows(tmp_path: Path) -> None:
    turns = [{"role": "Customer", "content": "hi"}, {"role": "BOT", "content": "hello"}]
    listed = read(tmp_path, json.dumps({"turns": turns}), "c.jsonl", "conversations", columns=CHAT)
    columns = {"conversation": "id", "role": "who", "text": "said"}
    rows = read(
        tmp_path,
        "id,who,said\n7,user,hi\n8,user,x\n7,agent,hello\n",
        "c.csv",
        "conversations",
        columns=columns,
    )
    expected = (Turn("user", "hi"), Turn("agent", "hello"))
    assert listed[0].turns == rows[0].turns == expected
    assert rows[1].turns == (Turn("user", "x"),)


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([{"role": "system", "content": "x"}], r"the role 'system' is neither among"),
        ([{"content": "x"}], r"no column 'role'"),
        (["x"], r"a turn must be an object"),
        ("x", r"'turns' must be a list of turns"),
    ],
)
def test_turns_that_cannot_be_read_are_named(tmp_path: Path, turns: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, json.dumps({"turns": turns}), "c.jsonl", "conversations", columns=CHAT)


def test_lines_blocks_and_files_keep_their_newlines(tmp_path: Path) -> None:
    text = "\ufeffone\r\n  two\r\n\r\n \r\nthree\r\n"
    assert pairs(read(tmp_path, text, "t.txt", "lines")) == [("one",), ("  two",), ("three",)]
    blocks = read(tmp_path, text, "t.txt", "text", separator="blank-line")
    assert pairs(blocks) == [("one\n  two",), ("three",)]
    assert [block.place.rpartition(", ")[2] for block in blocks] == ["line 1", "line 5"]
    assert pairs(read(tmp_path, text, "t.txt", "text")) == [("one\n  two\n\n \nthree\n",)]


def test_texts_may_stand_in_a_column(tmp_path: Path) -> None:
    found = read(tmp_path, 'n,poem\n1,"a\nb"\n', "p.csv", "text", columns={"text": "poem"})
    assert pairs(found) == [("a\nb",)]


def test_a_column_may_hold_the_lines_of_a_text(tmp_path: Path) -> None:
    rows = '{"poem": ["a", "b"]}\n{"poem": "c"}\n'
    found = read(tmp_path, rows, "p.jsonl", "lines", columns={"text": "poem"})
    assert pairs(found) == [("a\nb",), ("c",)]
    with pytest.raises(DataError, match=r"line 1: 'poem' holds no text but dict"):
        read(tmp_path, '{"poem": ["a", {}]}\n', "p.jsonl", "lines", columns={"text": "poem"})


# --- the whole ---------------------------------------------------------------------------------


def texts_of(folder: Path, rows: str, header: str = "q,a,l", **keys: object) -> Texts:
    (folder / "faq.csv").write_text(f"{header}\n{rows}", encoding="utf-8")
    source = {"files": ["faq.csv"], "columns": {**PAIR, "label": "l"}}
    return read_texts(make("replies", [source], **keys), folder)


def some_rows(count: int, label: str = "x") -> str:
    return "".join(f"question {n},answer {n},{label}\n" for n in range(count))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (some_rows(3), r"faq\.csv: 3 different rows to learn from; at least 10 are needed"),
        (some_rows(12, "Refund") + some_rows(1, " refund "), r"two spellings of one label"),
        (some_rows(12, "caf\u00e9") + some_rows(1, "cafe\u0301"), r"'cafe\\u0301'"),
        (some_rows(12) + some_rows(1, "y" * 300), r"line 14: the label 'yyy.* has 300 characters"),
        (some_rows(12, "fix") + some_rows(1, "fix."), r"'fix' .*line 2.* and 'fix\.' .*line 14"),
        (
            "".join(f"question {n},answer,label {n}\n" for n in range(30)),
            r"line \d+: 30 labels in 30 rows, such as 'label \d+': each needs several rows",
        ),
        (some_rows(12, "get_refund") + some_rows(1, "Get refund"), r"'get_refund' .*line 2\) and"),
        ("", r"0 different rows"),
    ],
)
def test_data_that_cannot_be_learned_from_is_told(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        texts_of(tmp_path, rows)


def test_one_label_only_is_worth_a_word(tmp_path: Path) -> None:
    (warning,) = texts_of(tmp_path, some_rows(12)).warnings
    assert "all rows have the label 'x'" in warning


def test_labels_of_signs_are_labels_of_their_own(tmp_path: Path) -> None:
    labels = ("C", "C++", "C#", "-1", "1", "+1")
    rows = "".join(f"{label} {n},yes,{label}\n" for label in labels for n in range(6))
    assert texts_of(tmp_path, rows).labels == sorted(labels)


def test_a_label_of_a_single_row_is_trained_on(tmp_path: Path) -> None:
    rows = "".join(f"question {n},answer,label {n}\n" for n in range(30))
    rows += some_rows(30).replace("question", "prompt")
    texts = texts_of(tmp_path, rows, split={"held_out": 0.5})
    assert len(texts.labels) == 31
    assert len(texts.held_out["replies"][0][1]) >= 1
    assert "too few rows to hold one out of: label " in texts.warnings[0]


def test_labels_in_two_spellings_are_made_one_when_asked_for(tmp_path: Path) -> None:
    rows = some_rows(12, "Refund") + some_rows(1, "refund ")
    texts = texts_of(tmp_path, rows, cleaning={"fold_labels": True})
    assert texts.labels == ["refund"]


def test_copies_are_held_out_together(tmp_path: Path) -> None:
    rows = "".join(f"Question {n % 20},answer {n},x\nquestion  {n % 20},y,x\n" for n in range(60))
    texts = texts_of(tmp_path, rows, split={"held_out": 0.1})
    trained = {e.turns[0].text.lower().split()[1] for e in texts.training[0][1]}
    held = {
        e.turns[0].text.lower().split()[1] for _, part in texts.held_out["replies"] for e in part
    }
    assert len(held) == 2
    assert not trained & held
    assert len(trained | held) == 20
    assert texts.duplicates > 0


def test_leaks_into_given_validation_rows_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("q,a\n" + "".join(f"question {n},x\n" for n in range(12)))
    (tmp_path / "b.csv").write_text("q,a\nQuestion 3,x\nnew,x\n")
    sources = [{"files": ["a.csv"]}, {"files": ["b.csv"], "use": "validation"}]
    texts = read_texts(make("replies", sources), tmp_path)
    assert len(texts.training[0][1]) == 12
    assert [leak.place.rpartition("/")[2] for leak in texts.leaks] == ["b.csv, line 2"]


def test_a_book_is_cut_near_a_line_s_end(tmp_path: Path) -> None:
    lines = [f"line {n} of the book\n" for n in range(200)]
    (tmp_path / "book.txt").write_text("".join(lines))
    texts = read_texts(make("text", [{"files": ["book.txt"]}]), tmp_path)
    (kept,), ((_, (held,)),) = texts.training[0][1], texts.held_out["text"]
    assert kept.turns[0].text + held.turns[0].text == "".join(lines)
    assert kept.turns[0].text.endswith("book\n")
    assert 0.03 < len(held.turns[0].text) / len("".join(lines)) < 0.08


def test_a_text_of_a_line_is_too_short_for_a_book(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("a line\n")
    with pytest.raises(DataError, match="characters to train on: at least 500"):
        read_texts(make("text", [{"files": ["book.txt"]}]), tmp_path)


def test_replies_come_from_pools_by_label(tmp_path: Path) -> None:
    (tmp_path / "asked.csv").write_text("q,l\n" + "".join(f"question {n},x\n" for n in range(12)))
    (tmp_path / "pool.csv").write_text("a,l\nyes,x\nyes,x\nno,y\n")
    sources: list[dict[str, Any]] = [
        {"files": ["asked.csv"], "columns": {"prompt": "q", "label": "l"}},
        {"files": ["pool.csv"], "columns": {"reply": "a", "label": "l"}, "use": "reply-pool"},
    ]
    texts = read_texts(make("replies", sources), tmp_path)
    assert texts.labels == ["x"]
    (tmp_path / "pool.csv").write_text("a,l\nno,y\n")
    with pytest.raises(DataError, match=r"asked\.csv, line 2: no reply, and no source of use"):
        read_texts(make("replies", sources), tmp_path)


def test_a_label_that_nothing_is_trained_on_is_told(tmp_path: Path) -> None:
    (tmp_path / "asked.csv").write_text("q,l\nwhat,z\n")
    questions = {
        "files": ["asked.csv"],
        "columns": {"prompt": "q", "label": "l"},
        "use": "questions",
    }
    (tmp_path / "faq.csv").write_text(f"q,a,l\n{some_rows(12)}")
    source = {"files": ["faq.csv"], "columns": {**PAIR, "label": "l"}}
    with pytest.raises(TrainingError, match=r"asked\.csv, line 2: the label 'z' is in no row"):
        read_texts(make("replies", [source, questions]), tmp_path)
