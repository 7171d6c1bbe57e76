"""The form of Python that may stand at a cursor, as a Lark grammar for llguidance.

Blocks are context-free where their depth is bounded: every level has rules of its own, whose
line ends hold its indentation. What is here and not in the grammar is never written: ``match``,
star-``except``, tabs, and line ends between the statements of a block that is asked for.
"""

from __future__ import annotations

from typing import Literal

from expressions import CONTROLS, capitals, expressions
from facts import STEP, Place

Form = Literal["statement", "block"]
DEEPER = 4  # levels of blocks inside the one at the cursor

STATEMENTS = """
simples: simple (SEMICOLON simple)* SEMICOLON?
simple: (targets_f EQ_f)* (exprs_f | yielding_f)
      | single AUGMENT (tests | yielding_f)
      | single COLON_f test_f (EQ_f (exprs_f | yielding_f))?
      | PLAIN | RETURN exprs_f | DEL dels | RAISE test_f (FROM_f test_f)?
      | SCOPE NAME_f (COMMA_f NAME_f)* | ASSERT test_f (COMMA_f test_f)?
      | IMPORT module (AS_f NAME_f)? (COMMA_f module (AS_f NAME_f)?)*
      | FROM_f (DOTS module? | module) IMPORT (STAR_f | names_f | OPEN names_b COMMA_b? CLOSE_f)
single: NAME_f | atom_f (last_f | call_f)* last_f
tests: test_f (COMMA_f test_f)* COMMA_f?
dels: target_f (COMMA_f target_f)* COMMA_f?
module: NAME_f (DOT_f NAME_f)*
names_f: NAME_f (AS_f NAME_f)? (COMMA_f NAME_f (AS_f NAME_f)?)*
names_b: NAME_b (AS_b NAME_b)? (COMMA_b NAME_b (AS_b NAME_b)?)*
SEMICOLON: ";" SPACE_f
AUGMENT: /(\\+|-|\\*\\*?|\\/\\/?|%|@|&|\\||\\^|<<|>>)=/ SPACE_f
PLAIN: /pass|break|continue|return|raise/
RETURN: "return" GAP_f
DEL: "del" GAP_f
RAISE: "raise" GAP_f
ASSERT: "assert" GAP_f
IMPORT: "import" GAP_f
SCOPE: /global|nonlocal/ GAP_f
DOTS: /\\.+/ SPACE_f

ifhead: IF_f named_f COLON_f
elifhead: ELIF named_f COLON_f
ELIF: "elif" GAP_f
elsehead: ELSE
ELSE: "else" SPACE_f ":" SPACE_f
whilehead: WHILE named_f COLON_f
WHILE: "while" GAP_f
forhead: FOR_f targets_f IN_f exprs_f COLON_f
tryhead: TRY
TRY: "try" SPACE_f ":" SPACE_f
excepthead: EXCEPT test_f (AS_f NAME_f)? COLON_f
EXCEPT: "except" GAP_f
barehead: BARE
BARE: "except:" SPACE_f
finallyhead: FINALLY
FINALLY: "finally" SPACE_f ":" SPACE_f
withhead: WITH item (COMMA_f item)* COLON_f
WITH: "with" GAP_f
item: test_f (AS_f target_f)?
defhead: DEF NAME_f OPEN params? CLOSE_f (ARROW test_f)? COLON_f
DEF: "def" GAP_f
ARROW: "->" SPACE_f
classhead: CLASS NAME_f (OPEN classargs? CLOSE_f)? COLON_f
CLASS: "class" GAP_f
classargs: (posarg COMMA_b)* (posarg COMMA_b? | keyargs)
opener: ifhead | whilehead | ASYNC_f? (forhead | withhead | defhead) | classhead
handler: excepthead | barehead | finallyhead
DECORATOR: "@" SPACE_f
END: "\\n"
GAP: "\\n\\n"
"""

# I: the level of the header, J: that of its block
LEVEL = """
line_I: simples | ifhead suite_J elifs_I | ASYNC_f? forhead suite_J elses_I
      | whilehead suite_J elses_I | tryhead suite_J handlers_I | ASYNC_f? withhead suite_J
      | (DECORATOR named_f NL_I)* (ASYNC_f? defhead | classhead) suite_J
elifs_I: (NL_I elifhead suite_J)* elses_I
elses_I: (NL_I elsehead suite_J)?
handlers_I: excepts_I elses_I finally_I | NL_I finallyhead suite_J
excepts_I: (NL_I excepthead suite_J)+ bare_I | NL_I barehead suite_J
bare_I: (NL_I barehead suite_J)?
finally_I: (NL_I finallyhead suite_J)?
more_I: (NL_I excepthead suite_J)* bare_I elses_I finally_I
suite_J: simples | (NL_J line_J)+
one_I: simples | opener short_J | tryhead short_J oneexcept_I
     | (DECORATOR named_f NL_I)+ (ASYNC_f? defhead | classhead) short_J
oneexcept_I: NL_I handler short_J
short_J: simples | NL_J simples
"""

# How a statement goes on whose block has ended, by its first word: at the start of its line, for
# the form "statement" and for "block" (J: the level of the blocks), and behind a line end
GOES_ON = {
    "if": (
        "(elifhead | elsehead) short_J",
        "elifhead suite_J elifs_I | elsehead suite_J",
        "elifs_I",
    ),
    "for": ("elsehead short_J", "elsehead suite_J", "elses_I"),
    "try": (
        "handler short_J",
        "(excepthead | barehead) suite_J more_I | finallyhead suite_J",
        "handlers_I",
    ),
    "except": (
        "(handler | elsehead) short_J",
        "(excepthead | barehead) suite_J more_I | elsehead suite_J finally_I | finallyhead suite_J",
        "more_I",
    ),
}
GOES_ON |= {"elif": GOES_ON["if"], "while": GOES_ON["for"]}


def grammar(place: Place, form: Form) -> str:
    """The rest of the statement at a place, or of the block there up to an empty line.

    What it accepts makes the text before the cursor a whole module: the ``try`` statements that
    are open around the statement get what they need.
    """
    level = len(place.blocks)
    indents = place.indents + [place.indent + STEP * more for more in range(1, DEEPER + 1)]
    ways = [_way(place, form, level, place.ended)]
    if place.is_new_line and not place.is_first:
        ways += _dedents(place, form)
    parts = [f"start: {' | '.join(ways)}", STATEMENTS]
    parts += [_newline(at, indent) for at, indent in enumerate(indents)]
    parts += [_at_level(LEVEL, at) for at in range(len(indents) - 1)]
    parts += [f"line_{len(indents) - 1}: simples", expressions()]
    return capitals("\n".join(parts))


def _newline(level: int, indent: int) -> str:
    """A line's end, and the indentation of the next line at a level."""
    spaces = f' "{" " * indent}"' if indent else ""
    return f"NL_{level}: /(#[^{CONTROLS}]*)?\\n/{spaces}"


def _way(place: Place, form: Form, level: int, ended: str) -> str:
    """A line at a level, and all that is to follow it."""
    indent = place.indents[level]
    indentation = f'"{" " * indent}" ' if place.is_new_line and indent else ""
    return f"{indentation}({_opening(form, level, ended)}) {_rest(place, form, level)}"


def _dedents(place: Place, form: Form) -> list[str]:
    """Lines at levels further out, up to a ``try`` that is not complete."""
    ways = []
    for level in range(len(place.blocks) - 1, _outermost(place, form) - 1, -1):
        word = place.blocks[level][0]
        ways.append(_way(place, form, level, word))
        if word == "try":
            break
    return ways


def _opening(form: Form, level: int, ended: str) -> str:
    column = 0 if form == "statement" else 1
    fresh = ("one_I", "line_I")[column]
    if ended not in GOES_ON:
        return _at_level(fresh, level)
    further = GOES_ON[ended][column]
    return _at_level(further if ended == "try" else f"{fresh} | {further}", level)


def _rest(place: Place, form: Form, level: int) -> str:
    if form == "statement":
        return f"{_handlers(place, level)} END"
    parts, outermost = [_at_level("(NL_I line_I)*", level)], _outermost(place, form)
    for at in range(level - 1, min(outermost, level) - 1, -1):
        goes_on = GOES_ON.get(place.blocks[at][0], ("", "", ""))[2]
        parts.append(_at_level(f"{goes_on} (NL_I line_I)*", at))
    return f"{' '.join(parts)} {_handlers(place, min(outermost, level))} GAP"


def _handlers(place: Place, level: int) -> str:
    """What the ``try`` statements around a level need."""
    needy = [at for at in range(level - 1, -1, -1) if place.blocks[at][0] == "try"]
    return " ".join(_at_level("oneexcept_I", at) for at in needy)


def _outermost(place: Place, form: Form) -> int:
    """The level that is left at last: the body of the innermost function, or the module."""
    if form == "statement":
        return 0
    functions = [at for at, (word, _) in enumerate(place.blocks) if word in {"def", "async"}]
    return functions[-1] + 1 if functions else 0


def _at_level(rules: str, level: int) -> str:
    return rules.replace("_I", f"_{level}").replace("_J", f"_{level + 1}")
