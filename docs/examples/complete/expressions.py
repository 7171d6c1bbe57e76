"""Python's expressions as a grammar for llguidance: once for lines, once for inside brackets.

Each terminal takes the white space behind it. Inside brackets that includes line ends, so
every terminal and rule is there twice, with the suffix ``_f`` (flat) or ``_b`` (bracketed).
"""

from __future__ import annotations

import keyword
import re

CONTROLS = r"\x00-\x08\x0a-\x1f"  # of which none stands in a string, nor in a comment
SPACE = {"f": r"([ \t]|\\\n)", "b": rf"([ \t\n]|\\\n|#[^{CONTROLS}]*\n)"}

WORDS = ["not", "in", "if", "else", "lambda", "await", "async", "for", "from", "yield", "as"]
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

# strings of one line: those of several lines are documentation, mostly
STRINGS = """
ESC: /\\\\([^xuUNCTRL]|\\n|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})/
BESC: /\\\\([ -wyz{-~]|\\n|x[0-9a-fA-F]{2})/
RESC: /\\\\([^CTRL]|\\n)/
BRESC: /\\\\[\\n -~]/
FIELD: /\\{/ WORD (/\\./ WORD | /\\[[0-9]+\\]/ | /\\(\\)/)* /(![rsa])?(:[^"'\\\\{}CTRL]*)?\\}/
FPART: FIELD | /\\{\\{|\\}\\}/
TEXT: {text}
FORMATTED: {formatted}
DATA: {data}
"""

RULES = """
test_M: ortest_M (IF_M ortest_M ELSE_M test_M)?
      | (LAMBDA_M lambdaparams_M | "lambda") COLON_M test_M
named_M: (NAME_M WALRUS_M)? test_M
ortest_M: NOT_M* chain_M (BOOL_M NOT_M* chain_M)*
chain_M: operand_M ((OPERATOR_M | STAR_M | DSTAR_M | SLASH_M) operand_M)*
operand_M: SIGN_M* AWAIT_M? atom_M (last_M | call_M)*
last_M: DOT_M NAME_M | OPENS slices CLOSES_M
call_M: OPEN args? CLOSE_M
atom_M: NAME_M | NUMBER_M | TEXTSGAP_M* TEXTS_M | DATAGAP_M* DATA_M | CONSTANT_M
      | OPEN (tuple | named_b comps_b | yielding_b)? CLOSE_M
      | OPENS (items | named_b comps_b)? CLOSES_M
      | OPENC (pairs | items | named_b comps_b | pair comps_b)? CLOSEC_M
comps_M: (ASYNC_M? FOR_M targets_M IN_M ortest_M (IF_M ortest_M)*)+
starred_M: STAR_M chain_M | test_M
exprs_M: starred_M (COMMA_M starred_M)* COMMA_M?
yielding_M: YIELD0_M | YIELD_M exprs_M | YIELD_M FROM_M test_M
target_M: NAME_M | atom_M (last_M | call_M)* last_M | OPEN targets_b? CLOSE_M
        | OPENS targets_b? CLOSES_M
targets_M: STAR_M? target_M (COMMA_M STAR_M? target_M)* COMMA_M?
"""

INSIDE = """
member: STAR_b chain_b | named_b
tuple: named_b | (member COMMA_b)+ member?
items: member (COMMA_b member)* COMMA_b?
pair: test_b COLON_b test_b
pairs: pairitem (COMMA_b pairitem)* COMMA_b?
pairitem: pair | DSTAR_b chain_b
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
P: plains_P one_P COMMA_M? | plains_P defaults_P default_P COMMA_M? | plains_P defaults_P stars_P
plains_P: (one_P COMMA_M)* | (one_P COMMA_M)+ SLASH_M COMMA_M (one_P COMMA_M)*
defaults_P: (default_P COMMA_M)*
default_P: one_P EQ_M test_M
stars_P: STAR_M one_P keys_P* (COMMA_M | lastkey_P)? | STAR_M keys_P+ (COMMA_M | lastkey_P)?
       | DSTAR_M one_P COMMA_M?
keys_P: COMMA_M (one_P | default_P)
lastkey_P: COMMA_M DSTAR_M one_P COMMA_M?
"""


def terminals(mode: str) -> str:
    """The terminals with the white space that may stand behind them."""
    space, gap = f"SPACE_{mode}", f"GAP_{mode}"
    lines = [f"{space}: /{SPACE[mode]}*/", f"{gap}: /{SPACE[mode]}+/"]
    lines += [f'{name}_{mode}: "{mark}" {space}' for name, mark in MARKS.items()]
    lines += [f'{word.upper()}_{mode}: "{word}" {gap}' for word in WORDS]
    lines += [
        f'YIELD0_{mode}: "yield"',
        f"NAME_{mode}: WORD {space}",
        f"NUMBER_{mode}: NUM {space}",
        f"CONSTANT_{mode}: /None|True|False|\\.\\.\\./ {space}",
        f"TEXTS_{mode}: (TEXT | FORMATTED) {space}",
        f"TEXTSGAP_{mode}: (TEXT | FORMATTED) {gap}",
        f"DATA_{mode}: DATA {space}",
        f"DATAGAP_{mode}: DATA {gap}",
        f"OPERATOR_{mode}: (/[<>]=?|[=!]=|\\/\\/|[-+%@&|^]|<<|>>/ {space}) | WORDS_{mode} {gap}",
        f'WORDS_{mode}: ("not" {gap})? "in" | "is" ({gap} "not")?',
        f"BOOL_{mode}: /and|or/ {gap}",
        f"SIGN_{mode}: /[-+~]/ {space}",
    ]
    return "\n".join(lines)


def strings() -> str:
    """Texts, formatted texts and bytes, on one line each, with either quote."""
    found: dict[str, list[str]] = {"{text}": [], "{formatted}": [], "{data}": []}
    for quote in "\"'":
        plain, data = rf"[^{quote}\\{CONTROLS}]", rf"[\t\x20-\x7f--[{quote}\\]]"
        without_fields = rf"[^{quote}\\{CONTROLS}{{}}]"
        for name, prefix, inner in (
            ("{text}", "[uU]?", f"/{plain}/ | ESC"),
            ("{text}", "[rR]", f"/{plain}/ | RESC"),
            ("{formatted}", "[fF]", f"/{without_fields}/ | ESC | FPART"),
            ("{data}", "[bB]", f"/{data}/ | BESC"),
            ("{data}", "([bB][rR]|[rR][bB])", f"/{data}/ | BRESC"),
        ):
            found[name].append(f"/{prefix}{quote}/ ({inner})* /{quote}/")
    grammar = STRINGS.replace("CTRL", CONTROLS)
    for name, forms in found.items():
        grammar = grammar.replace(name, "\n    | ".join(forms))
    return grammar


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
