"""Python's expressions as a grammar for llguidance: once for lines, once for inside brackets.

Each terminal takes the white space behind it. Inside brackets that includes line ends, so
every terminal and rule is there twice, with the suffix ``_f`` (flat) or ``_b`` (bracketed).
"""

from __future__ import annotations

import keyword
import re

SPACES = {"f": r"/([ \t]|\\\n)*/", "b": r"/([ \t\n]|\\\n|#[^\n]*\n)*/"}
GAPS = {"f": r"/([ \t]|\\\n)+/", "b": r"/([ \t\n]|\\\n|#[^\n]*\n)+/"}

WORDS = "and or not in is if else lambda await async for from yield as".split()
MARKS = {
    "COMMA": ",",
    "COLON": ":",
    "STAR": "*",
    "DSTAR": "**",
    "EQ": "=",
    "WALRUS": ":=",
    "DOT": ".",
    "SLASH": "/",
    "CLOSE": ")",
    "CLOSES": "]",
    "CLOSEC": "}",
}

NAMES = """
KEYWORD: /({keywords})/
WORD: /[A-Za-z_][A-Za-z0-9_]*/ & ~KEYWORD
DIGITS: /[0-9](_?[0-9])*/
INTEGER: /[1-9](_?[0-9])*|0+(_?0)*|0[xX](_?[0-9a-fA-F])+|0[oO](_?[0-7])+|0[bB](_?[01])+/
EXPONENT: /[eE][-+]?/ DIGITS
FLOAT: DIGITS EXPONENT | DIGITS "." DIGITS? EXPONENT? | "." DIGITS EXPONENT?
NUM: INTEGER | FLOAT | (DIGITS | FLOAT) /[jJ]/
"""

# "{q}" is the quote; what a string of one line may not hold is left out of it
STRINGS = """
ESC: /\\\\([^xuUN\\x00]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})/
BESC: /\\\\([\\x01-wyz{-\\x7f]|x[0-9a-fA-F]{2})/
RESC: /\\\\[^\\x00]/
BRESC: /\\\\[\\x01-\\x7f]/
FIELD: /\\{/ WORD (/\\./ WORD | /\\[[0-9]+\\]/ | /\\(\\)/)* /(![rsa])?(:[^"'\\\\\\n{}\\x00]*)?\\}/
FPART: FIELD | /\\{\\{|\\}\\}/
TEXT: {text}
FORMATTED: {formatted}
DATA: {data}
"""

RULES = """
test_M: ortest_M (if_M ortest_M else_M test_M)? | LAMBDA_M lambdaparams_M? COLON_M test_M | "lambda" COLON_M test_M
named_M: (NAME_M WALRUS_M)? test_M
ortest_M: nottest_M ((AND_M | OR_M) nottest_M)*
nottest_M: NOT_M* comparison_M
comparison_M: arith_M (compare_M arith_M)*
compare_M: COMPARE_M | NOT_M? IN_M | IS_M NOT_M?
arith_M: unary_M ((BINARY_M | STAR_M | DSTAR_M | SIGN_M | SLASH_M) unary_M)*
unary_M: (SIGN_M | TILDE_M)* AWAIT_M? primary_M
primary_M: atom_M | primary_M trailer_M
trailer_M: DOT_M NAME_M | OPEN args? CLOSE_M | OPENS slices CLOSES_M
atom_M: NAME_M | NUMBER_M | TEXTS_M+ | DATA_M+ | CONSTANT_M | group_M
group_M: OPEN (tuple | named_b comps_b | yielding_b)? CLOSE_M
       | OPENS (items | named_b comps_b)? CLOSES_M
       | OPENC (pairs | items | named_b comps_b | pair comps_b)? CLOSEC_M
if_M: IF_M
else_M: ELSE_M
comps_M: comp_M+
comp_M: (ASYNC_M)? FOR_M targets_M IN_M ortest_M (IF_M ortest_M)*
starred_M: STAR_M arith_M | test_M
exprs_M: starred_M (COMMA_M starred_M)* COMMA_M?
yielding_M: YIELD0_M | YIELD_M exprs_M | YIELD_M FROM_M test_M
target_M: NAME_M | primary_M DOT_M NAME_M | primary_M OPENS slices CLOSES_M
        | OPEN targets_b? CLOSE_M | OPENS targets_b? CLOSES_M
startarget_M: STAR_M? target_M
targets_M: startarget_M (COMMA_M startarget_M)* COMMA_M?
"""

INSIDE = """
member: STAR_b arith_b | named_b
tuple: named_b | (member COMMA_b)+ member?
items: member (COMMA_b member)* COMMA_b?
pair: test_b COLON_b test_b
pairs: pairitem (COMMA_b pairitem)* COMMA_b?
pairitem: pair | DSTAR_b arith_b
slices: slice (COMMA_b slice)* COMMA_b?
slice: member | test_b? COLON_b test_b? (COLON_b test_b?)?
args: named_b comps_b | (posarg COMMA_b)* (posarg COMMA_b? | keyargs)
keyargs: (keyarg COMMA_b)* (keyarg COMMA_b? | lastargs)
lastargs: DSTAR_b test_b (COMMA_b (NAME_b EQ_b test_b | DSTAR_b test_b))* COMMA_b?
posarg: STAR_b test_b | named_b
keyarg: NAME_b EQ_b test_b | STAR_b test_b
"""

# P: a parameter as it stands there; M: the mode of what it holds
PARAMETERS = """
P: plains_P (one_P COMMA_M?) | plains_P defaults_P (default_P COMMA_M?) | plains_P defaults_P stars_P
plains_P: (one_P COMMA_M)* | (one_P COMMA_M)+ SLASH_M COMMA_M (one_P COMMA_M)*
defaults_P: (default_P COMMA_M)*
default_P: one_P EQ_M test_M
stars_P: STAR_M one_P keys_P* (COMMA_M | lastkey_P)? | STAR_M keys_P+ (COMMA_M | lastkey_P)? | DSTAR_M one_P COMMA_M?
keys_P: COMMA_M (one_P | default_P)
lastkey_P: COMMA_M DSTAR_M one_P COMMA_M?
"""


def terminals(mode: str) -> str:
    """The terminals with the white space that may stand behind them."""
    space, gap = f"SPACE_{mode}", f"GAP_{mode}"
    lines = [f"{space}: {SPACES[mode]}", f"{gap}: {GAPS[mode]}"]
    lines += [f'{name}_{mode}: "{mark}" {space}' for name, mark in MARKS.items()]
    lines += [f'{word.upper()}_{mode}: "{word}" {gap}' for word in WORDS]
    lines += [
        f'YIELD0_{mode}: "yield"',
        f"NAME_{mode}: WORD {space}",
        f"NUMBER_{mode}: NUM {space}",
        f"CONSTANT_{mode}: /None|True|False|\\.\\.\\./ {space}",
        f"TEXTS_{mode}: (TEXT | FORMATTED) {space}",
        f"DATA_{mode}: DATA {space}",
        f"COMPARE_{mode}: /<=?|>=?|==|!=/ {space}",
        f"BINARY_{mode}: /\\/\\/|%|@|&|\\||\\^|<<|>>/ {space}",
        f"SIGN_{mode}: /[-+]/ {space}",
        f"TILDE_{mode}: /~/ {space}",
    ]
    return "\n".join(lines)


def strings() -> str:
    """Texts, formatted texts and bytes, with either quote, once and three times."""
    text, formatted, data = [], [], []
    for quote in "\"'":
        for times in (1, 3):
            line = r"\n" if times == 1 else ""
            text += _string("[uU]?", "ESC", quote, times, rf"[^{quote}\\{line}\x00]")
            text += _string("[rR]", "RESC", quote, times, rf"[^{quote}\\{line}\x00]")
            formatted += _string(
                "[fF]", "ESC | FPART", quote, times, rf"[^{quote}\\{line}\x00{{}}]"
            )
            plain = rf"[\x01-\x7f--[{quote}\\{line}]]"
            data += _string("[bB]", "BESC", quote, times, plain)
            data += _string("([bB][rR]|[rR][bB])", "BRESC", quote, times, plain)
    found = {"{text}": text, "{formatted}": formatted, "{data}": data}
    grammar = STRINGS
    for name, forms in found.items():
        grammar = grammar.replace(name, "\n    | ".join(forms))
    return grammar


def _string(prefix: str, escapes: str, quote: str, times: int, plain: str) -> list[str]:
    if times == 1:
        return [f"/{prefix}{quote}/ (/{plain}/ | {escapes})* /{quote}/"]
    inner = f"/{quote}{{0,2}}/ (/{plain}/ | {escapes})"
    return [f"/{prefix}{quote * 3}/ ({inner})* /{quote * 3}/"]


def expressions() -> str:
    """All of it, as text of a Lark grammar."""
    keywords = "|".join(keyword.kwlist)
    parts = [NAMES.replace("{keywords}", keywords), strings(), 'OPEN: "(" SPACE_b']
    parts += ['OPENS: "[" SPACE_b', 'OPENC: "{" SPACE_b', INSIDE]
    for mode in "fb":
        parts += [terminals(mode), RULES.replace("_M", f"_{mode}")]
        parts += [_parameters(f"lambdaparams_{mode}", mode, f"NAME_{mode}")]
    parts.append(_parameters("params", "b", "NAME_b (COLON_b test_b)?"))
    return "\n".join(parts)


def capitals(grammar: str) -> str:
    """The grammar with terminals' names in capitals only, as Lark wants them."""
    return re.sub(r"\b[A-Z0-9]+_[fb]\b", lambda found: found[0].upper(), grammar)


def _parameters(name: str, mode: str, one: str) -> str:
    rules = PARAMETERS + f"one_P: {one}\n"
    return rules.replace("_M", f"_{mode}").replace("_P", f"_{name}").replace("\nP:", f"\n{name}:")
