"""What administrators ask of one server: methods of the synchronous client."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar, Unpack

from lstmserve_client import calls
from lstmserve_client.affinity import Affinity
from lstmserve_client.calls import UnaryCall
from lstmserve_client.keywords import (
    CallOptions,
    GenerateOptions,
)
from lstmserve_client.signatures import spelled_out
from lstmserve_client.types import (
    CachePurged,
    CacheStats,
    CacheWarmed,
    LogLevel,
    Model,
    Prompt,
)

Result = TypeVar("Result")


class Administration(ABC):
    """Each raises ValueError on a client of several targets, for it would reach one of them."""

    @abstractmethod
    def _administer(
        self, call: UnaryCall[Result], options: CallOptions, affinity: Affinity | None = False
    ) -> Result: ...

    @spelled_out
    def load_model(self, name: str, version: str | int, **options: Unpack[CallOptions]) -> Model:
        """Serve a version of the store to those who name it; waits until it is ready."""
        return self._administer(calls.load_model(name, version), options)

    @spelled_out
    def unload_model(self, name: str, version: str | int, **options: Unpack[CallOptions]) -> Model:
        """Serve a version no longer, once another can; what runs on it ends in its own time."""
        return self._administer(calls.unload_model(name, version), options)

    @spelled_out
    def verify_model(self, name: str, version: str | int, **options: Unpack[CallOptions]) -> Model:
        """Have the server try a version of its store; raises what is wrong with it."""
        return self._administer(calls.verify_model(name, version), options)

    @spelled_out
    def set_default_model(
        self, name: str, version: str | int = "", **options: Unpack[CallOptions]
    ) -> Model:
        """Let this model answer requests naming none, and this version those without one.

        Without a version it is the newest that the server's policy serves, now and later.
        """
        return self._administer(calls.set_default_model(name, version), options)

    @spelled_out
    def split_traffic(
        self, name: str, weights: Mapping[str, int], **options: Unpack[CallOptions]
    ) -> list[Model]:
        """Deal a model's requests without a version out by the weight of each version.

        Without weights the newest that the server's policy serves gets all.
        """
        return self._administer(calls.split_traffic(name, weights), options)

    @spelled_out
    def cache_stats(self, **options: Unpack[CallOptions]) -> CacheStats:
        """What the cache of the server process that answers holds, and how well it does."""
        return self._administer(calls.cache_stats(), options)

    @spelled_out
    def purge_cache(
        self,
        model: str | None = None,
        model_version: str | int | None = None,
        caller: str | None = None,
        tag: str | None = None,
        **options: Unpack[CallOptions],
    ) -> CachePurged:
        """Drop the replies and states that fit all that is given; everything if nothing is.

        An empty ``caller`` stands for those who give no name.
        """
        return self._administer(calls.purge_cache(model, model_version, caller, tag), options)

    @spelled_out
    def warm_cache(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> CacheWarmed:
        """Store every reply that this request may get, before anybody asks; waits until done.

        A sampled request without a seed has several. ``cache_mode`` means nothing here.
        """
        return self._administer(
            calls.warm_cache(prompt, options), calls.call_options(options), options.get("affinity")
        )

    @spelled_out
    def log_level(self, **options: Unpack[CallOptions]) -> LogLevel:
        """The log level of the server process that answers."""
        return self._administer(calls.log_level(), options)

    @spelled_out
    def set_log_level(self, level: LogLevel, **options: Unpack[CallOptions]) -> LogLevel:
        """Let the server write lines of this level and above, from now on; returns the level
        that was in force before.
        """
        return self._administer(calls.set_log_level(level), options)
