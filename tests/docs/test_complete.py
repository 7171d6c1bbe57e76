"""The grammar of the example that completes Python: what it lets through parses."""

from __future__ import annotations

import ast
import inspect
import json.decoder
import random
import sys
import textwrap
import warnings
from itertools import takewhile
from pathlib import Path

import pytest
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from lstmserve_server.engine.constraints.grammar_builder import GrammarBuilder
from lstmserve_server.engine.constraints.growing import ReplyMaker

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "training" / "lstmserve_training" / "recipes" / "code-py"
sys.path[:0] = map(str, (ROOT / "docs" / "examples" / "complete", RECIPE))

from collect import code_of, collect  # noqa: E402
from cuts import make_cuts  # noqa: E402
from facts import UnreadableError, read_place  # noqa: E402
from python_grammar import grammar  # noqa: E402

END = 256
SOURCES = [code_of(inspect.getsource(module)) for module in (json.decoder, textwrap)]
LIKELY = b"\n)]}\"':= "


class Bytes:
    """A vocabulary of all bytes, and an end."""

    tokens = [*(bytes([byte]) for byte in range(256)), b"<end>"]  # noqa: RUF012 - as the library reads it
    bos_token_id = None
    eos_token_id = END
    special_token_ids = (END,)

    def __call__(self, text: bytes) -> list[int]:
        return list(text)


TOKENIZER = LLTokenizer(TokenizerWrapper(Bytes()))


def begin(text: str, form: str) -> LLMatcher:
    """What may follow a text; it is in error where the grammar does not know the text's end."""
    place = read_place(text)
    matcher = LLMatcher(TOKENIZER, LLMatcher.grammar_from_lark(grammar(place, form)))
    assert not matcher.is_error(), matcher.get_error()
    matcher.consume_tokens(list(place.tail.encode()))
    return matcher


def accepts(text: str, completion: str, form: str) -> bool:
    matcher = begin(text, form)
    return matcher.consume_tokens(list(completion.encode())) and matcher.is_accepting()


def parses(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except SyntaxError:
            return False
    return True


@pytest.mark.parametrize(
    ("text", "completion", "form"),
    [
        ("x = foo(", "a, *b, c=1, **d)[1:2, ::3].e\n", "statement"),
        ("for a, (b, *c) in ", "d: pass\n", "statement"),
        ("if x:\n    y\nel", "if z:\n    a\n", "statement"),
        ("@a.b(c)\n", "async def f(x, /, y: int = 1, *, z) -> None: return\n", "statement"),
        ("try:\n    x = [a for a in b", " if not c]\nexcept (A, B) as e:\n    pass\n", "statement"),
        ("x = 'ab", 'c\' "d" % {1: 2, **e}\n', "statement"),
        ("def f(a):\n", "    if a:\n        return 1\n    else:\n        x = yield\n\n", "block"),
        (
            "def f(a):\n    try:\n        g()\n",
            "    finally:\n        h()\n    return a\n\n",
            "block",
        ),
        ("class A:\n  def f(self):\n    while 1:\n      ", "x += lambda *a, b=1: a\n\n", "block"),
    ],
)
def test_python_as_it_is_written_goes_on(text: str, completion: str, form: str) -> None:
    assert parses(text + completion)
    assert accepts(text, completion, form)


IN_FUNCTION = "def f(a, b):\n    x = 1\n"


@pytest.mark.parametrize(
    ("text", "written", "form"),
    [
        ("x = 1\n\n\n", "def read_lines(path: str, *, n=3) -> None:\n    return 1\n", "statement"),
        ("x = 1\n\n\n", "class A(B):\n    x = 1\n", "statement"),
        ("@property\n", "async def f(self):\n    return await g()\n", "statement"),
        (IN_FUNCTION + "    ", "if not a and b > 1:\n        y = 1\n", "statement"),
        (IN_FUNCTION + "    ", "for a, b in range(10):\n        print(x)\n", "statement"),
        (IN_FUNCTION + "    ", "with open(a) as f, g():\n        pass\n", "statement"),
        (IN_FUNCTION + "    ", "x = a if b == 'c' else [d for d in e if d]\n", "statement"),
        (IN_FUNCTION + "    ", "from os import path as p, sep\n", "statement"),
        (
            IN_FUNCTION,
            "    while True:\n        if a:\n            break\n    return x\n\n",
            "block",
        ),
        (
            IN_FUNCTION,
            "    try:\n        f()\n    except OSError as e:\n        raise\n\n",
            "block",
        ),
        (IN_FUNCTION, "    for x in a:\n        yield x\n    else:\n        y = 2\n\n", "block"),
        (IN_FUNCTION, "    x[a:b] = {c: d for c, d in e.items()}\n    del x, a.b\n\n", "block"),
    ],
)
def test_a_reply_may_be_python_as_it_is_written(text: str, written: str, form: str) -> None:
    """A token after which no completion is found gives way to another one."""
    assert parses(text + written)
    assert accepts(text, written, form)
    place = read_place(text)
    tokens = [*Bytes.tokens[:END], b""]
    built = GrammarBuilder(tokens, END).build(grammar(place, form), place.tail)
    reply = ReplyMaker(tokens, END).begin(built, 250)
    taken = bytes(takewhile(lambda byte: reply.take(byte) == byte, written.encode()))
    assert taken.decode() == written


@pytest.mark.parametrize(
    "text",
    [
        *("f() = 1", "None = 1", "x + 1 = 2", "a ifb else c", "f(a=1, b)", "f(**a, *b)", "a := 1"),
        *("[*a for a in b]", "def f(a=1, b): pass", "def f(*): pass", "lambda a=1, b: 0", "b'é'"),
        *("f'{if}'", "'\\x1'", "x = 1__0", "a not b", "print a", "a b", "if = 1", "x: int: y"),
        *(
            "'a' b'b'",
            "for f() in x: pass",
            "return = 1",
            "x = (",
            "del f()",
            "with a as f(): pass",
            "@a\nfor b in c: pass",
            "@a\nasync with b: pass",
        ),
    ],
)
def test_what_does_not_parse_is_refused(text: str) -> None:
    assert not parses(text + "\n")
    assert not accepts("", text + "\n", "statement")


def test_a_try_statement_around_the_cursor_gets_what_it_needs() -> None:
    text = "try:\n    x = "
    assert not accepts(text, "1\n", "statement")
    assert accepts(text, "1\nexcept:\n    pass\n", "statement")


def test_the_standard_library_can_be_gone_on_with() -> None:
    cuts = list(make_cuts(SOURCES, 90, seed=1))
    refused = [cut.text[-80:] for cut in cuts if begin(cut.text, cut.form).is_error()]
    assert {cut.kind for cut in cuts} == {"start", "middle", "body"}
    assert len(refused) <= 3, refused  # strings of several lines


def test_a_place_in_a_comment_or_behind_a_wrong_indentation_is_told() -> None:
    for text in ("x = 1\n# and", "if x:\n    y\n  z"):
        with pytest.raises(UnreadableError):
            read_place(text)


def test_whatever_is_let_through_parses() -> None:
    ended = 0
    for number, cut in enumerate(make_cuts(SOURCES, 60, seed=2)):
        matcher = begin(cut.text, cut.form)
        completion = walk(matcher, random.Random(number)) if not matcher.is_error() else None
        if completion is not None:
            ended += 1
            assert parses(cut.text + completion), completion
    assert ended >= 10


def walk(matcher: LLMatcher, rng: random.Random) -> str | None:
    """Random characters that a grammar allows, up to its end; None for one that goes on and on."""
    found = bytearray()
    while not matcher.is_accepting():
        bias = matcher.compute_logit_bias()
        allowed = [byte for byte in range(128) if bias[byte]]
        if len(found) == 300:
            return None
        weights = [20 if byte in LIKELY else 1 for byte in allowed]
        [byte] = rng.choices(allowed, weights)
        matcher.consume_token(byte)
        found.append(byte)
    return found.decode()


def test_code_is_kept_as_it_is_without_comments_and_docstrings() -> None:
    source = (
        '''"""About."""\n\nx = 1  # one\n\n# two\ndef f():\n    """Does."""\n    return "#"\n'''
    )
    assert code_of(source) == 'x = 1\n\ndef f():\n    return "#"\n'
    assert code_of('class A:\n    """All there is."""\n') == 'class A:\n    """All there is."""\n'


def test_held_out_packages_are_apart_and_tests_are_left_out(tmp_path: Path) -> None:
    for name in ("json/decoder.py", "ast.py", "test/test_ast.py", "encodings/cp437.py"):
        path = tmp_path / "lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    assert collect(tmp_path / "lib", tmp_path / "out") == {"training": 6, "held-out": 6}
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in tmp_path.glob("out/*/*.py"))
    assert found == ["held-out/json.decoder.py", "training/ast.py"]
