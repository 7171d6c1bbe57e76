"""Which model answers requests that name none, as far as the store says.

It is the one that the store's file DEFAULT_MODEL names, or else the only one that is there; it
never depends on names, nor on which model was loaded first. Once it is settled it stays, until
the file names another: replicas of a store answer by the same model whenever they were started.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import structlog

from lstmserve_bundle.errors import DefaultModelError
from lstmserve_bundle.store import DEFAULT_NAME, only_model, read_default
from lstmserve_server.store.repository import Stored

MIN_CHOICE = 2  # models, from which on somebody must decide

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DefaultModel:
    """What the store says at one look."""

    model: str = ""  # empty: it does not say
    is_named: bool = False  # by the file as it is now
    is_lasting: bool = True  # a server that starts now says the same
    trouble: str = ""  # what is wrong with the file


class StoreDefault:
    """Reads what a store says, and tells operators what follows from it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told: object = None

    def find(self, stored: Stored, settled: str = "") -> DefaultModel:
        """``settled`` is the default model until now; without a word of the store it stays."""
        path = self._folder / DEFAULT_NAME
        try:
            named = read_default(self._folder)
        except DefaultModelError as error:
            return DefaultModel(settled, trouble=str(error))
        if named and named not in stored:
            models = ", ".join(stored)
            trouble = f"{path}: the store has no model {named!r}, only: {models}"
            return DefaultModel(settled, trouble=trouble)
        if named:
            return DefaultModel(named, is_named=True)
        numbers = {name: [each.version for each in stored[name]] for name in stored}
        only = only_model(self._folder, numbers)
        return DefaultModel(settled or only, is_lasting=not settled or settled == only)

    def tell(self, found: DefaultModel, models: Collection[str], chosen: str) -> None:
        """Log each change of what is decided, where there is something to decide.

        ``chosen`` by --default-model or an operator, it decides whatever the store says.
        """
        news = (found, len(models) > 1, chosen)
        if news == self._told:
            return
        self._told = news
        if found.trouble:
            log.error("the store names no default model", reason=found.trouble)
        if len(models) < MIN_CHOICE:
            return
        path = str(self._folder / DEFAULT_NAME)
        how = f"write the name of a model into {path}, or start with --default-model"
        if chosen or found.is_named:
            log.info(
                "requests that name no model have a default",
                default_model=chosen or found.model,
                decided_by="--default-model or an operator" if chosen else path,
            )
        elif found.model and not found.is_lasting:
            log.warning(
                "requests that name no model still go to the default until now, but would not on "
                "a server that starts now",
                default_model=found.model,
                models=sorted(models),
                how=how,
            )
        elif not found.model:
            log.warning(
                "requests that name no model are refused: there are several, and no default",
                models=sorted(models),
                how=how,
            )
