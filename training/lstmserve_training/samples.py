"""What a model says to fixed prompts: after each epoch, side by side, and in ``try``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from lstmserve_bundle.template import PromptTemplate
from lstmserve_training.encoding import never_tokens
from lstmserve_training.held_out import read_prompts
from lstmserve_training.replies import at_temperature, draw
from lstmserve_training.stepper import Stepper, make_stepper
from lstmserve_training.work import read_template, read_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lstmserve_bundle.tokenizer import Tokenizer
    from lstmserve_training.model import LanguageModel
    from lstmserve_training.recipe.schema import Recipe
    from lstmserve_training.recipe.sections import SamplingSection

NUM_PROMPTS = 3


def make_sampler(recipe: Recipe, work: Path) -> Callable[[LanguageModel], list[tuple[str, str]]]:
    """What shows, after each epoch, what a model replies to the recipe's prompts."""
    tokenizer = read_tokenizer(work)
    manifest = read_template(work)
    template = PromptTemplate(manifest, tokenizer)
    never = never_tokens(manifest, tokenizer)
    prompts = choose_prompts(recipe, work, template)

    def sample(model: LanguageModel) -> list[tuple[str, str]]:
        stepper = make_stepper(model, never)
        speaker = Speaker(stepper, tokenizer, template, recipe.sampling)
        tokens = recipe.evaluation.sample_tokens
        return [(text, speaker.reply(ids, recipe.seed, tokens)) for text, ids in prompts]

    return sample


def choose_prompts(
    recipe: Recipe, work: Path, template: PromptTemplate
) -> list[tuple[str, list[int]]]:
    """The recipe's prompts, or the first held-out ones; as text and as token ids."""
    if recipe.evaluation.prompts:
        return [(text, template.render_prompt(text)) for text in recipe.evaluation.prompts]
    return read_prompts(work, template, NUM_PROMPTS)


class Speaker:
    """Replies as the model would be asked to, without a server.

    It samples as servers do by default, but draws other random numbers than they.
    """

    def __init__(
        self,
        stepper: Stepper,
        tokenizer: Tokenizer,
        template: PromptTemplate,
        sampling: SamplingSection,
    ) -> None:
        self._stepper, self._tokenizer = stepper, tokenizer
        self._template, self._sampling = template, sampling

    def without_labels(self, text: str) -> str:
        """The words of a reply, as a conversation goes on with them."""
        for label in self._template.label_of_id.values():
            text = text.replace(f"[{label}] ", "")
        return text

    def reply(self, prompt_ids: Sequence[int], seed: int, max_tokens: int | None = None) -> str:
        """The whole reply, labels in brackets before it."""
        pieces = self.stream(prompt_ids, seed, max_tokens)
        return "".join(pieces).strip(" ") if self._template.has_roles else "".join(pieces)

    @torch.no_grad()
    def stream(
        self, prompt_ids: Sequence[int], seed: int, max_tokens: int | None = None
    ) -> Iterator[str]:
        """The reply, piece by piece, never splitting a character."""
        limit = max_tokens or self._sampling.max_tokens
        generator = torch.Generator().manual_seed(seed)
        state = self._stepper.initial_state(1)
        for token in prompt_ids:
            logits, state = self._stepper.step(state, torch.tensor([token], device=state.device))
        pending = b""
        for _ in range(limit):
            uniform = torch.rand(1, generator=generator, dtype=torch.float64)
            token = self._choose(logits[0].cpu(), uniform)
            if token == self._template.end_id:
                break
            if token in self._template.label_of_id:
                yield f"[{self._template.label_of_id[token]}] "
            pending += self._tokenizer.token_bytes(token)
            try:
                text, pending = pending.decode(), b""
            except UnicodeDecodeError:
                text = ""
            if text:
                yield text
            logits, state = self._stepper.step(state, torch.tensor([token], device=state.device))
        yield pending.decode(errors="replace")

    def _choose(self, logits: torch.Tensor, uniform: torch.Tensor) -> int:
        """The token after logits [tokens]."""
        if self._sampling.temperature == 0:
            return int(logits.argmax())
        return int(draw(at_temperature(logits[None], self._sampling), uniform)[0])
