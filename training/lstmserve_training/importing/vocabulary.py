"""The tokenizer of a model that exists: its own vocabulary, id by id, as tokens of bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from lstmserve_bundle.files import decode_text, parse_json
from lstmserve_training.encoding import END_TOKEN
from lstmserve_training.errors import DataError, MissingInputError
from lstmserve_training.tokenizer import ANY_CHARACTER, normalizer, pad

if TYPE_CHECKING:
    from lstmserve_training.recipe.sections import TokenizerSection, WeightsSection

ENDS = ("<eos>", "</s>", "<|endoftext|>", "<|end|>", "[EOS]", "<EOS>", "<end>", "[SEP]")
UNKNOWNS = ("<unk>", "[UNK]", "<UNK>", "UNK", "<|unk|>")
STARTS = ("<sos>", "<bos>", "<s>", "[BOS]", "<SOS>", "<start>", "<|startoftext|>", "[CLS]")
PADS = ("<pad>", "[PAD]", "<PAD>", "<|pad|>")
SPACE = "Ġ"  # how byte-level vocabularies spell it


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer, and what its model's tables have to know."""

    tokenizer: tokenizers.Tokenizer
    num_own: int  # tokens that the model was trained with
    end_token: str
    unknown: str  # empty: there is no such token
    borrowed: dict[int, int]  # tokens that are read as others: they are given their embeddings


def read_vocabulary(
    path: Path, section: WeightsSection, tokenizing: TokenizerSection
) -> Vocabulary:
    """Of a JSON object of tokens and ids, a JSON list, or a text file of one token a line."""
    document = _read(path)
    if isinstance(document, dict) and isinstance(document.get("model"), dict):
        return _from_tokenizer(path, document, section)
    tokens = _in_order(path, document)
    kind = section.tokens
    if kind == "auto":
        plain = [t for t in tokens if t not in (*ENDS, *UNKNOWNS, *STARTS, *PADS)]
        kind = "characters" if all(len(token) == 1 for token in plain) else "words"
    return _make(tokens, kind, section, tokenizing)


def _read(path: Path) -> Any:  # noqa: ANN401 - of JSON
    try:
        text = decode_text(path.read_bytes())
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    if path.suffix != ".json":
        return [line for line in text.replace("\r\n", "\n").split("\n") if line]
    try:
        return parse_json(text)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def _in_order(path: Path, document: Any) -> list[str]:  # noqa: ANN401
    """Tokens by id, which are 0, 1, 2, … ."""
    if isinstance(document, dict):
        for name in ("stoi", "token_to_id", "word2idx", "char2idx", "vocab"):
            if isinstance(document.get(name), dict):
                document = document[name]
        if all(str(key).isdecimal() and isinstance(value, str) for key, value in document.items()):
            document = {value: int(key) for key, value in document.items()}  # ids to tokens
        if sorted(document.values(), key=str) != sorted(range(len(document)), key=str):
            raise DataError(f"{path}: the ids of {len(document)} tokens are not 0, 1, 2, …")
        document = sorted(document, key=document.__getitem__)
    if not isinstance(document, list) or not all(isinstance(token, str) for token in document):
        raise DataError(f"{path}: must hold an object of tokens and their ids, or a list of tokens")
    twice = {token for token in document if document.count(token) > 1} if document else set()
    if twice or not document:
        raise DataError(f"{path}: {'no token' if not document else f'{min(twice)!r} stands twice'}")
    return document


def _make(
    tokens: list[str], kind: str, section: WeightsSection, tokenizing: TokenizerSection
) -> Vocabulary:
    end = _pick(tokens, section.end, ENDS, "end")
    unknown = _pick(tokens, section.unknown, UNKNOWNS, "unknown")
    start = _pick(tokens, section.start, STARTS, "start")
    special = {token for token in (end, unknown, start, *STARTS, *PADS) if token in tokens}
    spelled = {_spell(token, kind, special): number for number, token in enumerate(tokens)}
    end_token = end or END_TOKEN
    backend = tokenizers.Tokenizer(_model(spelled, unknown))
    steps = normalizer(tokenizing)
    if steps is not None:
        backend.normalizer = steps
    backend.pre_tokenizer = _pre_tokenizer(kind)
    backend.decoder = decoders.ByteLevel()
    names = [*special, *([] if end else [end_token])]
    backend.add_special_tokens([AddedToken(name, special=True) for name in names])
    # where texts begin with the token that ends them, it is read as whatever began them in training
    end_id = tokens.index(end) if end else len(tokens)
    first = start or ("" if end else "\n")
    borrowed = {end_id: tokens.index(first)} if first in tokens else {}
    pad(backend)
    return Vocabulary(backend, len(tokens), end_token, unknown, borrowed)


def _model(spelled: dict[str, int], unknown: str) -> models.Model:
    if unknown:
        return models.WordLevel(spelled, unk_token=unknown)
    # what is not in the vocabulary is left out, as there is no token for it
    return models.BPE(vocab=spelled, merges=[], ignore_merges=True)


def _pre_tokenizer(kind: str) -> pre_tokenizers.PreTokenizer:
    if kind == "characters":
        cut: pre_tokenizers.PreTokenizer = pre_tokenizers.Split(ANY_CHARACTER, "isolated")
    else:
        cut = pre_tokenizers.WhitespaceSplit()
    spell = pre_tokenizers.ByteLevel(add_prefix_space=kind == "words", use_regex=False)
    return pre_tokenizers.Sequence([cut, spell])


def _spell(token: str, kind: str, special: set[str]) -> str:
    """A token's bytes, as byte-level vocabularies write them; words have a space before them."""
    if token in special:
        return token
    speller = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    pieces = speller.pre_tokenize_str(token)
    text = "".join(piece for piece, _ in pieces)
    return SPACE + text if kind == "words" else text


def _pick(tokens: list[str], wanted: str, usual: tuple[str, ...], what: str) -> str:
    if wanted:
        if wanted not in tokens:
            raise DataError(f"weights.{what}: {wanted!r} is not in the vocabulary")
        return wanted
    return next((token for token in usual if token in tokens), "")


def _from_tokenizer(path: Path, document: Any, section: WeightsSection) -> Vocabulary:  # noqa: ANN401
    """A tokenizer.json of byte-level tokens, as GPT-2's is."""
    try:
        backend = tokenizers.Tokenizer.from_str(json.dumps(document))
    except Exception as error:  # noqa: BLE001 - the Rust side raises bare Exception
        raise DataError(f"{path}: not a readable tokenizer.json: {error}") from None
    vocabulary = backend.get_vocab(with_added_tokens=True)
    end = _pick(list(vocabulary), section.end, ENDS, "end")
    num_own = len(vocabulary)
    names = [end or END_TOKEN, *(token for token in (*UNKNOWNS, *PADS) if token in vocabulary)]
    backend.add_special_tokens([AddedToken(name, special=True) for name in names])
    pad(backend)
    return Vocabulary(backend, num_own, end or END_TOKEN, "", {})
