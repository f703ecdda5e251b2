"""What takes personal data out of texts, by the setting `curate.pii`: our patterns, or those and Microsoft's Presidio, which also
finds names of people and places by a language model of spaCy. Presidio is an extra; nothing is ever downloaded here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from learner.curate.found import DRIVING_LICENCE, MEDICAL_LICENCE, PASSPORT, PERSON, PLACE, Found
from learner.curate.pii import Redacted, find, redact, separate

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngine

LANGUAGE = "en"
MODELS = ("en_core_web_lg", "en_core_web_md", "en_core_web_sm")  # of spaCy; the first that is installed
KINDS = {
    "PERSON": PERSON,
    "LOCATION": PLACE,
    "US_PASSPORT": PASSPORT,
    "US_DRIVER_LICENSE": DRIVING_LICENCE,
    "MEDICAL_LICENSE": MEDICAL_LICENCE,
}
MIN_SCORE = 0.5  # of Presidio's own confidence: bare digits that could be a passport's have less


class PresidioMissing(RuntimeError):
    """The setting asks for what is not installed; the message says what to install."""


def redactor(pii: Literal["patterns", "presidio"]) -> Callable[[str], Redacted]:
    """What redacts a text under this setting; it can be sent to other processes. Raises `PresidioMissing`."""
    if pii == "patterns":
        return redact
    _installed_finder()
    return _redact


class PresidioFinder:
    """Finds what the patterns find, and what Presidio's recognisers find beside it."""

    def __init__(self, nlp_engine: NlpEngine) -> None:
        from presidio_analyzer import AnalyzerEngine

        self._analyzer: AnalyzerEngine = AnalyzerEngine(nlp_engine=nlp_engine, supported_languages=[LANGUAGE])

    def __call__(self, text: str) -> list[Found]:
        results = self._analyzer.analyze(text, language=LANGUAGE, entities=list(KINDS), score_threshold=MIN_SCORE)
        return separate(text, [*find(text), *(Found(KINDS[one.entity_type], one.start, one.end) for one in results)])


def _redact(text: str) -> Redacted:
    return redact(text, _installed_finder())


@cache
def _installed_finder() -> PresidioFinder:
    """Loaded once per process, which takes seconds."""
    if find_spec("presidio_analyzer") is None:
        raise PresidioMissing("curate.pii = 'presidio' needs presidio-analyzer: pip install 'ratchet[pii]'")
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    model = next((model for model in MODELS if find_spec(model)), None)
    if model is None:
        raise PresidioMissing(f"curate.pii = 'presidio' needs a model of spaCy: python -m spacy download {MODELS[-1]}")
    configuration = {"nlp_engine_name": "spacy", "models": [{"lang_code": LANGUAGE, "model_name": model}]}
    return PresidioFinder(NlpEngineProvider(nlp_configuration=configuration).create_engine())
