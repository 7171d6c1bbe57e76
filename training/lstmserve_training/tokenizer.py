"""Trains the byte-level BPE tokenizer of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer

from lstmserve_training.cleaning import MASK_PATTERNS, MASKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def train_tokenizer(
    texts: Iterable[str], num_tokens: int, special_tokens: Sequence[str]
) -> Tokenizer:
    """A tokenizer of exactly ``num_tokens`` tokens, special tokens first.

    Its normalizer masks numbers and addresses, so that a prompt is masked when it is
    served just as it was in training; a mask is one token and decodes to itself.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            *(normalizers.Replace(Regex(pattern), mask) for pattern, mask in MASK_PATTERNS),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, _trainer(num_tokens - len(MASKS), special_tokens))
    # matched after normalization, which is what writes them
    tokenizer.add_tokens([AddedToken(mask, normalized=True) for mask in MASKS])
    return tokenizer


def _trainer(num_tokens: int, special_tokens: Sequence[str]) -> BpeTrainer:
    return BpeTrainer(
        vocab_size=num_tokens,
        special_tokens=[AddedToken(token, special=True) for token in special_tokens],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
