"""A small classifier made by hand, for tests."""

from array import array
from collections.abc import Sequence

from lstmserve_bundle.classifier_file import ClassifierFile, ClassifierHeader, ScopeHeader
from lstmserve_bundle.ngrams import hash_phrases, hash_word, split_words

WIDTH = 8
LABELS = ("cancel", "refund", "chat")
SCOPE = ScopeHeader(bias=0.0, output=1.0, margin=0.0, probability=0.0, known=0.0)


def hashes_of(texts: Sequence[str]) -> list[int]:
    words = [split_words(text) for text in texts]
    found = {value for listed in words for word in listed for value in hash_word(word)}
    return sorted(found | {value for listed in words for value in hash_phrases(listed)})


def make_file(*, scope: ScopeHeader | None = SCOPE) -> ClassifierFile:
    """Tells "cancel" from "refund" by the one element of each, and anything else is chat."""
    of_label = [hashes_of([label]) for label in LABELS[:2]]
    hashes = sorted(of_label[0] + of_label[1])
    rows = bytearray([128] * (WIDTH * len(hashes)))
    for element, found in enumerate(of_label):
        for value in found:
            rows[WIDTH * hashes.index(value) + element] = 228
    outputs = 4 if scope else 3
    weights = array("h", [0] * (3 * WIDTH * outputs))
    for block, weight in enumerate((8, 4, 2)):  # a question counts more than what was said before
        for element in range(2):
            start = (block * WIDTH + element) * outputs
            weights[start + element] = weight << 9
            weights[start + 3 : start + outputs] = array("h", [2 << 9] * (outputs - 3))
    header = ClassifierHeader(
        schema_version=1,
        labels=list(LABELS),
        out_of_scope=["chat"] if scope else [],
        ngrams=len(hashes),
        width=WIDTH,
        hidden=0,
        evidence=50,
        temperature=1.0,
        scope=scope,
    )
    biases = array("i", [0, 0, 1 << 20, -(1 << 20)][:outputs])
    nothing = array("h"), array("i")
    return ClassifierFile(header, array("I", hashes), bytes(rows), *nothing, weights, biases)
