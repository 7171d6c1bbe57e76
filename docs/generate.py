"""Writes the reference of the options from their declarations; ``--check`` only compares.

That is all of ``configuration.md`` and ``recipes.md``, and of ``cache.md`` the options.
"""

from __future__ import annotations

import re
import sys
from itertools import groupby
from pathlib import Path
from textwrap import wrap

from lstmserve_server.options import OPTIONS, Option
from lstmserve_training.recipe.reference import write_reference as write_recipe_keys

DOCS = Path(__file__).resolve().parent
HEADER = """\
<!-- written by docs/generate.py from server/lstmserve_server/config: change that -->
# Configuration

Every option of `lstmserve-server` may be given as a flag, in the environment, or under its name
in the TOML file that `--config` names, in this order of precedence. Unknown names and bad values
end the start with one line and exit code 2. What to set first: [Operations](operations.md#start).

Each option stands under its flag, with its name in the file and in the environment.
"""
BEGIN = "<!-- options: written by docs/generate.py -->\n"
END = "<!-- end of options -->\n"
CACHE_SECTIONS = ("Cache", "Redis")
NUM_BYTES_PER_MIB = 1 << 20
MAX_COLUMNS = 120


def write_reference() -> str:
    """Return the whole of ``configuration.md``."""
    return HEADER + "".join(
        f"\n## {section}\n" + "".join(map(_describe, options))
        for section, options in groupby(OPTIONS.values(), key=lambda option: option.section)
    )


def write_cache_options(page: str) -> str:
    """Return ``cache.md`` with what its markers enclose written anew."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    options = (option for option in OPTIONS.values() if option.section in CACHE_SECTIONS)
    return before + BEGIN + "".join(map(_list, options)) + end + after


def _describe(option: Option) -> str:
    alone = " (the flag alone: `true`)" if option.is_switch else ""
    facts = f"{option.allowed}{alone}, {_show_default(option)}"
    names = _wrap(f"`{option.name}`, `{option.variable}`: {facts}.")
    return f"\n### `{option.flag}`\n{names}\n\n{_wrap(_mark_up(option.help))}\n"


def _list(option: Option) -> str:
    """An item of a list, which wraps where a row of a table cannot."""
    names = f"[`{option.flag}`](configuration.md#{option.flag}), {_show_default(option)}"
    return f"- {_wrap(f'{names}: {_mark_up(option.help)}', '  ')}\n"


def _show_default(option: Option) -> str:
    value = option.default
    if value in (None, ""):
        return "no default"
    if isinstance(value, bool):
        return f"default `{str(value).lower()}`"  # as in the file and in the environment
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    is_in_bytes = option.name.endswith("bytes")
    return f"default `{shown}`" + (f" ({value // NUM_BYTES_PER_MIB} MiB)" if is_in_bytes else "")


def _mark_up(text: str) -> str:
    text = re.sub(r"--[a-z][a-z-]*", r"`\g<0>`", text.replace("<", "&lt;"))
    return re.sub(r"docs/(\w+\.md)", r"[\1](\1)", text)


def _wrap(text: str, indent: str = "") -> str:
    width = MAX_COLUMNS - len(indent)  # of the first line, too, which is indented by the caller
    lines = wrap(text, width, break_on_hyphens=False, break_long_words=False)
    return f"\n{indent}".join(lines)


def main() -> None:
    cache = DOCS / "cache.md"
    texts = {
        DOCS / "configuration.md": write_reference(),
        cache: write_cache_options(cache.read_text()),
        DOCS / "recipes.md": write_recipe_keys(),
    }
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    if "--check" not in sys.argv[1:]:
        for path in stale:
            path.write_text(texts[path])
    elif stale:
        names = ", ".join(path.name for path in stale)
        sys.exit(f"stale: {names}; run 'python docs/generate.py'")


if __name__ == "__main__":
    main()
