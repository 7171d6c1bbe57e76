"""Forms are built by a process with bounds, which another one follows when it has ended."""

from __future__ import annotations

import fcntl
import itertools
import re
import sys
import termios
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from benchmarks.testbed.waiting import until
from lstmserve_server.engine.constraints import builder as builders
from lstmserve_server.engine.constraints import grammar_builder, parsing
from lstmserve_server.engine.constraints.builder import ProcessBuilder
from lstmserve_server.engine.constraints.grammar_builder import GrammarBuilder
from lstmserve_server.engine.constraints.kept_forms import REFUSAL_BYTES, KeptForms
from lstmserve_server.engine.constraints.messages import MAX_LEARNED, RefusedFormError
from lstmserve_server.engine.constraints.spec import FormSpec
from lstmserve_server.errors import UnavailableError
from support.engines import LoadedModel
from support.forms import choices_form, regex_form, vocabulary_of

# its process where neither the kernel's calls nor /proc allow anything
BARRED = """
import os, pathlib, resource, sys
from lstmserve_server.engine.constraints import main
def refuse(_):
    raise PermissionError(1, "Operation not permitted")
os.nice = refuse
main.OOM_SCORE_FILE = pathlib.Path("/nowhere/at/all")
resource.setrlimit(resource.RLIMIT_AS, (main.MAX_MEMORY_BYTES - 1,) * 2)
main.main(sys.argv[1:])
"""
HOSTILE = "(([a-z]{100}){100}){100}"


@pytest.fixture
def builder() -> Iterator[ProcessBuilder]:
    found = ProcessBuilder()
    yield found
    found.close()


def processes() -> list[psutil.Process]:
    """Those that build for this one."""
    children = psutil.Process().children()
    return [each for each in children if "constraints.main" in " ".join(each.cmdline())]


def num_unread_bytes(builder: ProcessBuilder) -> int:
    """How much it has sent that its process has not read."""
    assert builder._process is not None
    answer = fcntl.ioctl(builder._process._connection, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


def test_it_builds_what_is_built_here(builder: ProcessBuilder, tiny: LoadedModel) -> None:
    pattern, choices = "[0-9]{3}(ab|日)*", ("yes", "no", "您好")
    for spec, own in (
        (FormSpec(pattern), regex_form(tiny.bundle, pattern)),
        (FormSpec(choices=choices), choices_form(tiny.bundle, choices)),
    ):
        found = builder.build(spec, tiny.bundle)
        assert found.digest == spec.digest
        assert found.taught.shortest == own.taught.shortest
        assert found.num_bytes == own.num_bytes
        for text in ("123ab", "123日日", "yes", "您好", "ye", "12", ""):
            state = found.text.walk(found.text.start, text)
            assert found.text.is_complete(state) == own.text.is_complete(
                own.text.walk(own.text.start, text)
            )


def test_no_process_is_started_before_it_is_needed_and_none_stays(tiny: LoadedModel) -> None:
    builder = ProcessBuilder()
    assert processes() == []
    builder.build(FormSpec("a"), tiny.bundle)
    (process,) = processes()
    builder.build(FormSpec("b"), tiny.bundle)
    assert processes() == [process]
    builder.close()
    assert processes() == []


def test_it_builds_where_a_system_allows_nothing_but_less_memory(
    builder: ProcessBuilder, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builders, "PROGRAM", ("-P", "-c", BARRED))
    assert builder.build(FormSpec("a"), tiny.bundle).taught.shortest == 1


def test_one_that_takes_too_long_is_refused_and_the_next_one_is_built(tiny: LoadedModel) -> None:
    builder = ProcessBuilder(max_seconds=0.2)
    with pytest.raises(RefusedFormError, match=r"takes longer than 0\.2 seconds"):
        builder.build(FormSpec(HOSTILE), tiny.bundle)
    assert builder.build(FormSpec("a"), tiny.bundle).taught.shortest == 1
    builder.close()


def test_no_pattern_is_blamed_for_a_machine_without_time(tiny: LoadedModel) -> None:
    builder = ProcessBuilder(max_waited_seconds=0.001)  # a process only begins to begin by then
    with pytest.raises(UnavailableError, match="too busy to build"):
        builder.build(FormSpec("a"), tiny.bundle)
    builder.close()
    assert processes() == []


def test_a_process_that_was_killed_is_followed_by_another(
    builder: ProcessBuilder, tiny: LoadedModel
) -> None:
    builder.build(FormSpec("a"), tiny.bundle)
    (process,) = processes()
    process.kill()
    process.wait()
    assert builder.build(FormSpec("b"), tiny.bundle).taught.shortest == 1


def test_no_pattern_is_refused_for_a_kill(builder: ProcessBuilder, tiny: LoadedModel) -> None:
    builder.build(FormSpec("a"), tiny.bundle)
    (process,) = processes()
    process.suspend()  # so that it is killed while it has something to build
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(builder.build, FormSpec("b"), tiny.bundle)
        until(lambda: num_unread_bytes(builder), "something to build")
        process.kill()
        with pytest.raises(UnavailableError, match="was killed"):
            waiting.result()
    assert builder.build(FormSpec("b"), tiny.bundle).taught.shortest == 1


def test_classes_nested_too_deep_are_refused_by_name_and_end_no_process(
    builder: ProcessBuilder, tiny: LoadedModel
) -> None:
    builder.build(FormSpec("a"), tiny.bundle)
    (process,) = processes()
    with pytest.raises(RefusedFormError, match="nests too many classes"):
        builder.build(FormSpec("[" * 4000), tiny.bundle)
    assert processes() == [process]


def test_it_forgets_versions_that_are_too_many(builder: ProcessBuilder, tiny: LoadedModel) -> None:
    builder.build(FormSpec("a"), tiny.bundle)
    assert builder._process is not None
    builder._process._learned |= {f"version {number}" for number in range(MAX_LEARNED)}
    builder._process._learned.discard(tiny.bundle.manifest.digest)
    assert builder.build(FormSpec("b"), tiny.bundle).taught.shortest == 1
    assert builder._process._learned == {tiny.bundle.manifest.digest}


def test_a_digest_names_what_is_asked_for() -> None:
    specs = [
        FormSpec("a"),
        FormSpec("b"),
        FormSpec(choices=("a",)),
        FormSpec(choices=("a", "b")),
        FormSpec(choices=("ab",)),
    ]
    assert len({spec.digest for spec in specs}) == len(specs)
    assert FormSpec(choices=("b", "a")).digest == FormSpec(choices=("a", "b")).digest


def test_forms_are_kept_within_their_bytes(tiny: LoadedModel) -> None:
    form = regex_form(tiny.bundle, "[a-z]{3}")
    kept = KeptForms(2 * form.num_bytes + REFUSAL_BYTES)
    kept.keep("1", b"a", form)
    kept.keep("1", b"b", "is wrong")
    kept.keep("2", b"a", form)
    assert len(kept) == 3
    assert kept.num_bytes == 2 * form.num_bytes + REFUSAL_BYTES
    assert kept.find("1", b"a") is form  # now the last one used
    kept.keep("2", b"c", "is wrong, too")
    assert kept.find("1", b"b") is None
    assert kept.find("1", b"a") is form
    kept.keep("1", b"a", "is wrong by now")
    assert kept.find("1", b"a") == "is wrong by now"
    assert kept.num_bytes == form.num_bytes + 2 * REFUSAL_BYTES
    assert re.match("is wrong", str(kept.find("2", b"c")))


def test_what_one_build_finds_out_is_no_burden_for_the_next(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beginnings of one grammar share the states of its lexer, which are bounded."""
    monkeypatch.setattr(parsing, "LIMITS", parsing.LLParserLimits(max_lexer_states=120))
    starts = "abcdefgh"
    text = "start: " + " | ".join(f'"{start}" /[{start}-z]{{40}}/' for start in starts)
    vocabulary = vocabulary_of(tiny.bundle)
    builder = GrammarBuilder(vocabulary.tokens, vocabulary.end_id)
    for start in starts:
        alone = GrammarBuilder(vocabulary.tokens, vocabulary.end_id).build(text, start)
        assert builder.build(text, start) == alone


def test_a_beginning_that_does_not_fit_leaves_the_next_one_as_it_is(tiny: LoadedModel) -> None:
    vocabulary = vocabulary_of(tiny.bundle)
    builder = GrammarBuilder(vocabulary.tokens, vocabulary.end_id)
    for _ in range(2):
        assert builder.build('start: "a" "b"', "a").shortest == 1
        with pytest.raises(RefusedFormError, match="begins with this end of the prompt"):
            builder.build('start: "a" "b"', "x")


def test_what_engines_would_compile_for_long_is_refused(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count(step=grammar_builder.MAX_COMPILE_SECONDS + 0.1)
    monkeypatch.setattr(grammar_builder, "process_time", seconds.__next__)
    vocabulary = vocabulary_of(tiny.bundle)
    builder = GrammarBuilder(vocabulary.tokens, vocabulary.end_id)  # that knows no grammar yet
    with pytest.raises(RefusedFormError, match=r"longer than 0\.2 seconds to compile"):
        builder.build('start: "a"', "")
