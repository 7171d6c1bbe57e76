"""A version that answers requests."""

from __future__ import annotations

from dataclasses import dataclass, field

from lstmserve_bundle import Answers, Bundle, Classifier, Faq, Manifest
from lstmserve_server.engine.client import EngineClient
from lstmserve_server.errors import UnavailableError
from lstmserve_server.gate import Gate


def _make_gate() -> Gate:
    return Gate(lambda: UnavailableError("this version is being unloaded; ask again"))


@dataclass(frozen=True, eq=False)
class ServedModel:
    """One version of one model, and the engine that runs it.

    Every request is inside the gate for as long as it may need the engine.
    """

    bundle: Bundle
    engine: EngineClient
    gate: Gate = field(default_factory=_make_gate)
    difference: str = ""  # what its replies depend on besides their requests; empty: nothing
    classifier: Classifier | None = None  # None: nobody knows what is asked before the reply
    faq: Faq | None = None  # None: it has no list of questions

    @property
    def is_exact(self) -> bool:
        """Whether its replies may be kept, shared and resumed."""
        return not self.difference

    @property
    def answers(self) -> Answers | None:
        """Its own words, and what fills their gaps; None: it has none but the model's."""
        return self.bundle.answers

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def version(self) -> str:
        return str(self.manifest.version)
