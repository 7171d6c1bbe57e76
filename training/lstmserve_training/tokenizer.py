"""Makes the tokenizer of a model: every token is a run of bytes, so no text is unknown."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer

from lstmserve_bundle.manifest import ROW_STEP
from lstmserve_bundle.tokenizer import EMAIL_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lstmserve_training.recipe.sections import TokenizerSection

ANY_CHARACTER = Regex(r"[\s\S]")

# phone-like: seven digits or more, in groups; and any plain run of five or more
NUMBER_PATTERN = r"\+?\(?\d(?:[ ().-]{0,2}\d){6,}|\d{5,}"
LINK_PATTERN = r"(?:https?://|www\.)\S*[\w/]"
# What is written instead, by the name in a recipe; in this order: an address may hold digits, and a
# link an address. The normalizer does it, so a prompt is masked when it is served as in training.
MASKS = {
    "links": (LINK_PATTERN, "[link]"),
    "emails": (EMAIL_PATTERN, "[email]"),
    "numbers": (NUMBER_PATTERN, "[number]"),
}


def train_tokenizer(
    texts: Iterable[str], section: TokenizerSection, special_tokens: Sequence[str]
) -> Tokenizer:
    """A tokenizer of ``section.vocabulary`` tokens at most, special tokens first.

    Text that gives fewer makes a smaller one; tokens that mean nothing fill its last vector.
    """
    masks = [MASKS[name][1] for name in MASKS if name in section.mask]
    wanted = round_up(section.vocabulary)
    room = wanted - len(masks)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer(section)
    if section.kind == "bpe":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.train_from_iterator(texts, _trainer(room, special_tokens))
    else:
        tokenizer.pre_tokenizer = _pre_tokenizer(section.kind)
        _learn_whole(tokenizer, texts, room, special_tokens)
    tokenizer.decoder = decoders.ByteLevel()
    # matched after normalization, which is what writes them
    tokenizer.add_tokens([AddedToken(mask, normalized=True) for mask in masks])
    pad(tokenizer)
    return tokenizer


def normalizer(section: TokenizerSection) -> normalizers.Normalizer | None:
    """What is done to text before it is cut into tokens, when it is trained on and served."""
    steps: list[normalizers.Normalizer] = []
    if section.normalize != "none":
        steps.append(getattr(normalizers, section.normalize)())
    if section.lowercase:
        steps.append(normalizers.Lowercase())
    chosen = [MASKS[name] for name in MASKS if name in section.mask]
    steps += [normalizers.Replace(Regex(pattern), mask) for pattern, mask in chosen]
    return normalizers.Sequence(steps) if steps else None


def add_labels(path: Path, labels: Iterable[str]) -> Tokenizer:
    """The tokenizer in a file, with the special tokens of further labels behind its own."""
    tokenizer = Tokenizer.from_file(str(path))
    missing = [label for label in labels if tokenizer.token_to_id(label) is None]
    if missing:
        tokenizer.add_special_tokens([AddedToken(label, special=True) for label in missing])
        pad(tokenizer)
    return tokenizer


def pad(tokenizer: Tokenizer) -> None:
    """Fill the vocabulary up to whole vectors with special tokens that no reply may contain."""
    found = tokenizer.get_vocab_size(with_added_tokens=True)
    missing = round_up(found) - found
    names = (f"<|pad:{number}|>" for number in itertools.count())
    new = itertools.islice((name for name in names if tokenizer.token_to_id(name) is None), missing)
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in new])


def round_up(number: int) -> int:
    """To whole vectors."""
    return -(-number // ROW_STEP) * ROW_STEP


def _pre_tokenizer(kind: str) -> pre_tokenizers.PreTokenizer:
    if kind == "words":
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(ANY_CHARACTER, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _learn_whole(
    tokenizer: Tokenizer, texts: Iterable[str], room: int, special_tokens: Sequence[str]
) -> None:
    """Words or characters as whole tokens, the most frequent ones; all others are bytes."""
    counts: Counter[str] = Counter()
    for text in texts:
        normal = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        counts.update(piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    single = set(alphabet)
    pieces = [piece for piece, _ in ranked if piece not in single]
    names = [*special_tokens, *alphabet]
    names += pieces[: max(0, room - len(names))]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer.model = models.BPE(vocab=vocabulary, merges=[], ignore_merges=True)
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in special_tokens])


def _trainer(num_tokens: int, special_tokens: Sequence[str]) -> BpeTrainer:
    return BpeTrainer(
        vocab_size=num_tokens,
        special_tokens=[AddedToken(token, special=True) for token in special_tokens],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
