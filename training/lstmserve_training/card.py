"""What is published with a model beside its weights: words, sources and defaults."""

from __future__ import annotations

from dataclasses import dataclass

from lstmserve_bundle.manifest import DataManifest, LimitsManifest, SamplingManifest


@dataclass(frozen=True)
class Card:
    description: str
    license: str
    data: tuple[DataManifest, ...]
    sampling: SamplingManifest
    limits: LimitsManifest


SUPPORT_CARD = Card(
    description=(
        "Customer support in English: names the intent of a question, then answers it, and "
        "goes on with a conversation."
    ),
    license="Apache-2.0",
    data=(
        DataManifest(
            name="CUCOM e-commerce conversations v0.1",
            source="https://github.com/vakyansh/cucom",
            license="Apache-2.0",
            use="shop chats, brands replaced, numbers and addresses masked",
        ),
        DataManifest(
            name="Bitext customer support training dataset",
            source="https://github.com/bitext/customer-support-llm-chatbot-training-dataset",
            license="CDLA-Sharing-1.0",
            use="replies by intent, fixed and varied, shortened",
        ),
        DataManifest(
            name="Bitext customer support intent detection training dataset",
            source="https://github.com/bitext/customer-support-intent-detection-training-dataset",
            license="CDLA-Sharing-1.0",
            use="questions and their intents; the validation questions are held out",
        ),
        DataManifest(
            name="lstmserve phrasings",
            source="training/lstmserve_training/phrasings.json of this project",
            license="Apache-2.0",
            use="questions of the same intents in other words",
        ),
    ),
    sampling=SamplingManifest(temperature=0.7, min_p=0.05, max_tokens=96),
    limits=LimitsManifest(max_prompt_tokens=1024, max_tokens=512),
)
