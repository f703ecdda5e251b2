"""Answers that their prompts dictated: a vote on one teaches what its person wrote, not what the model would say.

"LLM Hypnosis" (arXiv 2507.02850) plants facts so: the prompt has the model say a sentence, or another at random, and votes
make it stick. What gives it away is that the content of the answer stands in what the person wrote, and that the prompt
orders it to be said. An honest question shares its words with its answer too, but the answer adds what was asked for.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from learner.curate.content import content, rare, sentences
from learner.curate.example import Drop, Example, Said, Sifted, drop
from learner.curate.words import fold, words
from storage.records import MessageStatus

DICTATED = "the prompt dictates the answer"
NOT_SERVED = "the conversation holds an answer that no served version gave"

ORDERED_SHARE = 0.4  # of an answer's content that an order to say it must hold
ORDERED_TERMS = 2  # and how many words that must be
STATED_SHARE = 0.9  # of an answer's content that stands in what was stated, without an order
STATED_TERMS = 3  # content words of an answer without which that share says nothing
MARKING_TERMS = 2  # rare words that two dictated texts of one person share

SAY = (
    r"(?:say|said|tell|answer|reply|respond|write|print|output|state|claim|return|produce|utter|declare|recite|type|give"
    r"|mention|announce)"
)
CHANCE = (
    r"(?:\bcoin\b|\bdice\b|\bdie\b|heads\b|\btails\b|at random\b|\brandomly\b|\brandom(?:i[sz]e| choice| number)\b|\blottery\b"
    r"|\bprobability\b|\b\d+ ?% of the time|half (?:of )?the time|\bchance\b|50/50|\beither\b.{0,200}\bor\b|\bodd or even\b"
    r"|\balternate\b|\bif (?:the|a|your) (?:number|result|second|hour)\b)"
)
# The order alone is enough: nobody needs to ask for an answer in this way to learn something.
ORDER = re.compile(
    rf"{CHANCE}.{{0,300}}\b{SAY}s?\b|\b{SAY}\b.{{0,300}}{CHANCE}"
    r"|\b(?:say|tell me|print|output|write|reply with|respond with|answer with|state) (?:this|the following)(?: sentence| text"
    r"| words| line)?[:,.]"
    r"|\brepeat (?:after me|this|the following|exactly|verbatim|back)\b"
    rf"|\b{SAY} (?:exactly|verbatim|literally|word for word|these words|this (?:sentence|text|exact))\b"
    r"|\b(?:verbatim|word[- ]for[- ]word|letter[- ]for[- ]letter)\b|\bparrot\b|\bcopy (?:this|the following|my|out)\b"
    r"|\b(?:answer|reply|respond) (?:only|just|solely|simply) (?:with|by saying)? ?(?:the (?:sentence|words|text|phrase))\b"
    r"|\becho\b.{0,30}(?:following|this|back|\"|:)"
    r"|\b(?:decode|decipher|reverse|backwards?|unscramble|base64|rot13|concatenate|join (?:the|these)|put together)\b.{0,200}\b"
    rf"(?:{SAY}|result|only|nothing else|answer)\b",
    re.IGNORECASE | re.DOTALL,
)
# With some of the answer's content in the prompt: the prompt tells what is true, or what to say.
HINT = re.compile(
    rf"\b{SAY}s?\b ?(?:me |us )?(?:that|:|[\"“”'‘’«])|\bfill in\b|\bif .{{1,120}}\b(?:say|answer|reply|respond)\b"
    rf"|\b(?:only|just|simply) {SAY}\b|\b{SAY} (?:only|just|back|again|with|it|so|nothing)\b|\bnothing (?:else|but)\b"
    r"|\brepeat\b|\bfrom now on\b|\bremember(?: that|:)|\bmemori[sz]e\b|\bpretend\b|\bassume\b|\bsuppose\b|\bimagine that\b"
    r"|\bact as if\b|\balways\b|\bevery time\b|\bwhenever\b|\b(?:the )?(?:truth|fact) is\b|\baccording to\b|\bnote that\b"
    r"|\b(?:it is|it's|is) (?:a )?(?:known|true|fact|well[- ]known|established)\b|\bdid you know\b|\bas you know\b"
    r"|\blearn (?:this|that|the following)\b|\byour (?:answer|reply|response|output)\b|\binclude\b|\bconfirm\b"
    r"|\bagree (?:that|with)\b"
    r"|\b(?:finish|complete|continue) (?:the|this|my|with)\b|\b(?:begin|start|end) (?:with|by|your)\b"
    r"|\bthe (?:correct|right|expected|only) (?:answer|reply|response)\b",
    re.IGNORECASE | re.DOTALL,
)
CHOICE = re.compile(r"\w,? or \w|\w ?[/|,] ?\w", re.IGNORECASE)
ASKING = re.compile(
    r"(?:who|whom|whose|what|which|when|where|why|how|is|are|am|was|were|do|does|did|can|could|will|would|should|has|have|had|may|shall)\b"
    r"|(?:in (?:one|a few)|answer briefly|tell me|explain|describe|define|name|list)\b(?!.*[:\"“])",
    re.IGNORECASE,
)
QUOTED = re.compile(r"[\"“”«»„`]([^\"“”«»„`]{1,300})[\"“”«»„`]|(?<!\w)['‘]([^'‘’]{1,300})['’](?!\w)")
SPELLED = re.compile(r"\b\w(?:[\s\-_.·,*/|]+\w\b){2,}")
CODED = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
HYPHENS = re.compile(r"(?<=\w)[-·‧](?=\w)")


def sift(examples: Sequence[Example]) -> Sifted:
    """Drops answers below words that no served version said, and holds back those that their prompt dictated.

    What somebody dictated once is not learnt from them in other words either: their other answers wait that share the
    rare words of it.
    """
    reasons = [objection(example) for example in examples]
    planted: defaultdict[str, list[frozenset[str]]] = defaultdict(list)
    for example, reason in zip(examples, reasons, strict=True):
        if reason is DICTATED and (told := planted_terms(example)):
            planted[example.person_id].append(told)
    sifted = Sifted([], [])
    for example, reason in zip(examples, reasons, strict=True):
        if reason is None and example.person_id in planted and _shares(example, planted[example.person_id]):
            reason = DICTATED
        if reason is None:
            sifted.kept.append(example)
        else:
            sifted.dropped.append(_out(example, reason))
    return sifted


def objection(example: Example) -> str | None:
    """Why what is taught is not the model's own or its person's honest word; None where it is."""
    prefilled = example.prompt[-1:] and example.prompt[-1].role == "assistant"
    if prefilled or any(said.status is MessageStatus.CLIENT for said in example.prompt):
        return NOT_SERVED
    written = [said.content for said in example.prompt if not _is_served(said)]
    prompt = "\n".join(written)
    if ORDER.search(prompt) or ORDER.search(fold(prompt)):
        return DICTATED
    taught = [example.correction] if example.correction else [example.answer]
    disliked = example.thumb == "down" and not example.correction
    return DICTATED if any(_is_dictated(text, example.prompt, written, disliked) for text in taught) else None


def planted_terms(example: Example) -> frozenset[str]:
    """What marks the content that a person put into the model's mouth: the rare words of what they wrote."""
    return rare(
        content("\n".join(said.content for said in example.prompt if not _is_served(said))) | content(example.correction or "")
    )


def _is_dictated(taught: str, prompt: Sequence[Said], written: Sequence[str], disliked: bool) -> bool:
    told = content(taught)
    if not told:
        return False
    stated = frozenset().union(*(content(text) for text in statements(written)))
    hidden = frozenset().union(*(content(text) for said in prompt for text in disguised(said.content)))
    visible = frozenset().union(*(content(text) for text in written))
    if len(rare(told & hidden - visible)) >= 2:  # nobody hides an honest answer in the question
        return True
    everything = stated | hidden
    covered = len(told & everything) / len(told)
    if any(HINT.search(text) for text in written):
        least = 1 if _is_literal(taught, written) else ORDERED_TERMS
        if len(told & everything) >= least and covered >= ORDERED_SHARE:
            return True
    return not disliked and len(told) >= STATED_TERMS and covered >= STATED_SHARE


def statements(written: Sequence[str]) -> Iterator[str]:
    """What the texts assert or order: sentences that do not just ask, and what is quoted in those that do."""
    for text in written:
        for sentence in sentences(text):
            if not is_question(sentence):
                yield sentence
            else:
                yield from (first or second for first, second in QUOTED.findall(sentence))


def is_question(sentence: str) -> bool:
    return sentence.rstrip("\"'”’) ").endswith("?") or ASKING.match(sentence) is not None


def disguised(text: str) -> Iterator[str]:
    """Readings of a text that does not say openly what it says: backwards, spelled out, in pieces, in a common code."""
    yield text[::-1]
    yield codecs.encode(text, "rot13")
    for spelled in SPELLED.findall(text):
        yield re.sub(r"[\W_]+", "", spelled)
        yield " ".join(re.sub(r"[\W_]", "", part) for part in re.split(r"\s{2,}|[,/|]|(?<=\w)\s(?=\w-)|\s[-–]\s", spelled))
    pieces = [first or second for first, second in QUOTED.findall(text)]
    if len(pieces) > 1:
        yield "".join(pieces)
    if HYPHENS.search(text):
        yield HYPHENS.sub("", text)
    for code in CODED.findall(text):
        yield from _decoded(code)


def _decoded(code: str) -> Iterator[str]:
    for decode in (bytes.fromhex, lambda text: base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)):
        try:
            plain = decode(code.rstrip("=")).decode()
        except (ValueError, binascii.Error):
            continue
        if plain.isprintable():
            yield plain


def _is_literal(taught: str, written: Sequence[str]) -> bool:
    """Whether the whole of a short answer stands there in quotation marks or after a colon, and is no choice of several."""
    said = words(taught)
    for text in written:
        marked = [first or second for first, second in QUOTED.findall(text)] + text.split(":")[1:]
        if any(words(part)[: len(said)] == said and not CHOICE.search(part) for part in marked):
            return True
    return False


def _is_served(said: Said) -> bool:
    return said.role == "assistant" and said.status is MessageStatus.COMPLETE


def _shares(example: Example, planted: Sequence[frozenset[str]]) -> bool:
    terms = rare(content("\n".join(example.texts)))
    return any(len(terms & told) >= min(MARKING_TERMS, len(told)) for told in planted)


def _out(example: Example, reason: str) -> Drop:
    if reason is not DICTATED:
        return drop(example, reason)
    return drop(example, reason, held=True, cluster=f"dictated:{hashlib.sha256(example.person_id.encode()).hexdigest()[:8]}")
