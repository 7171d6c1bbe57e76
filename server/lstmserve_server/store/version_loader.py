"""Makes versions of the store answer, and ends them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from lstmserve_bundle import (
    Answers,
    Bundle,
    BundleError,
    Classifier,
    Faq,
    Manifest,
    open_bundle,
    verify_bundle,
)
from lstmserve_bundle.forms import FORMS_NAME
from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.client import EngineClient
from lstmserve_server.engine.constraints.builder import FormBuilder
from lstmserve_server.engine.constraints.form import Form
from lstmserve_server.engine.constraints.kept_forms import KeptForms
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.constraints.spec import FormSpec
from lstmserve_server.engine.launcher import EngineProcess, Launcher
from lstmserve_server.engine.messages import Loaded, Order
from lstmserve_server.errors import (
    ModelLoadError,
    NoProcessError,
    NoThreadError,
    UnavailableError,
)
from lstmserve_server.following import read_on_thread
from lstmserve_server.store.repository import StoredVersion
from lstmserve_server.store.served_model import ServedModel

log = structlog.get_logger()
T = TypeVar("T")
NO_ANSWERS = Answers.model_validate({})

REMEDY = (
    "a module of torch's quantize_dynamic does this: publish the model with lstmserve-train, or "
    "serve it one reply at a time with --allow-inexact"
)


@dataclass(frozen=True, slots=True)
class Opened:
    """What the server's process reads of a version."""

    bundle: Bundle
    classifier: Classifier | None
    faq: Faq | None

    def check_answers(self) -> None:
        """Raise BundleError unless the answers fit what finds them."""
        answers = self.bundle.answers or NO_ANSWERS
        answers.check_labels(set(self.classifier.labels) if self.classifier else set())
        answers.check_questions(self.faq.num_entries if self.faq else 0)


class VersionLoader:
    """Has each version loaded, and proved to be exact, by a process of its own.

    Whatever is wrong with a version, it cannot harm this process or another version.
    """

    def __init__(
        self,
        config: EngineConfig,
        threads: int,
        make_engine: Callable[[Bundle, Loaded], EngineClient],
        builder: FormBuilder,
        kept_forms: KeptForms,
        *,
        allow_inexact: bool = False,
    ) -> None:
        """Have the builder build each version's named forms, and keep them for its first callers.

        ``allow_inexact``: a version whose replies are not exact is loaded all the same.
        """
        self._config = config
        self._threads = threads
        self._make_engine = make_engine
        self._builder = builder
        self._kept_forms = kept_forms
        self._allow_inexact = allow_inexact

    async def load(self, stored: StoredVersion, *, is_alone: bool) -> ServedModel:
        """A version that runs; raises ModelLoadError.

        One that is not alone lets the replies of others go first.
        """
        launcher = await self._make_launcher(stored, is_alone=is_alone)
        try:
            process, loaded = await launcher.launch()
        except BaseException:
            launcher.close()
            raise
        try:
            opened = await self._accept(stored, loaded)
        except BaseException:
            await _end(launcher, process)
            raise
        engine = self._make_engine(opened.bundle, loaded)
        engine.start(launcher, process, loaded)
        return ServedModel(
            opened.bundle,
            engine,
            difference=loaded.difference,
            classifier=opened.classifier,
            faq=opened.faq,
        )

    async def verify(self, stored: StoredVersion) -> None:
        """Have a version tried by another process; raises ModelLoadError.

        Good is only what is exact, whatever may be served.
        """
        launcher = await self._make_launcher(stored, is_alone=False)
        try:
            process, loaded = await launcher.launch()
            await process.end()
        finally:
            launcher.close()
        opened = await _read_stored(open_version, stored)
        await _read_stored(partial(self._build_forms, opened.bundle), stored)
        _require_exact(stored, loaded.difference)

    async def unload(self, model: ServedModel) -> None:
        """End the process of a version, and with it all that it has kept."""
        await model.engine.close()

    async def _make_launcher(self, stored: StoredVersion, *, is_alone: bool) -> Launcher:
        await _read_stored(verify_version, stored)  # a wrong checksum is found at once
        return Launcher(
            Order(
                stored.name,
                stored.version,
                str(stored.folder),
                self._config,
                self._threads,
                is_beside_others=not is_alone,
            )
        )

    async def _accept(self, stored: StoredVersion, loaded: Loaded) -> Opened:
        """What this process needs of a version that runs; raises ModelLoadError."""
        if not self._allow_inexact:
            _require_exact(stored, loaded.difference)
        opened = await _read_stored(open_version, stored)
        bundle = opened.bundle
        if bundle.manifest.digest != loaded.digest:
            raise ModelLoadError(f"{stored.folder}: changed while it was loaded")
        for form in await _read_stored(partial(self._build_forms, bundle), stored):
            self._kept_forms.keep(bundle.manifest.digest, form.digest, form)
        if not loaded.difference:
            published = "the same" if bundle.fingerprint else "none was published"
            log.debug(
                "replies are exact",
                model=stored.name,
                version=str(stored.version),
                fingerprint=published,
            )
        return opened

    def _build_forms(self, bundle: Bundle, stored: StoredVersion) -> list[Form]:
        """Build each form that requests may name; raises ModelLoadError."""
        return [self._build_form(name, bundle, stored) for name in bundle.forms]

    def _build_form(self, name: str, bundle: Bundle, stored: StoredVersion) -> Form:
        try:
            return self._builder.build(FormSpec.of(bundle.forms[name]), bundle)
        except (RefusedFormError, UnavailableError) as error:
            raise ModelLoadError(f"{stored.folder / FORMS_NAME}: {name}: {error}") from None


async def _read_stored(read: Callable[[StoredVersion], T], stored: StoredVersion) -> T:
    try:
        return await read_on_thread(lambda: read(stored))
    except NoThreadError as error:
        raise NoProcessError(f"{stored.folder}: {error}") from None


def verify_version(stored: StoredVersion) -> None:
    """Whether one version's files are those that were published; raises ModelLoadError.

    What is in them is not looked at: a tokenizer can end a process as well as a model can.
    """
    with _told():
        _check_place(stored, verify_bundle(stored.folder))


def open_version(stored: StoredVersion) -> Opened:
    """Verify and open one version; raises ModelLoadError saying what is wrong with it."""
    with _told():
        bundle = open_bundle(stored.folder)
        opened = Opened(bundle, bundle.read_classifier(), bundle.read_faq())
        opened.check_answers()
    _check_place(stored, bundle.manifest)
    return opened


async def _end(launcher: Launcher, process: EngineProcess) -> None:
    await process.end()
    launcher.close()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BundleError as error:
        raise ModelLoadError(str(error)) from None


def _check_place(stored: StoredVersion, manifest: Manifest) -> None:
    if (manifest.name, manifest.version) != (stored.name, stored.version):
        raise ModelLoadError(
            f"{stored.folder}: its manifest says {manifest.name} version {manifest.version}; "
            "a version must lie in <model>/<version>"
        )


def _require_exact(stored: StoredVersion, difference: str) -> None:
    if difference:
        raise ModelLoadError(f"{stored.folder}: not exact: {difference}; {REMEDY}")
