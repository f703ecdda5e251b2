"""New claims: what a correction or a liked answer brings in that the model did not say by itself.

One person can be wrong, or lie; so a claim is learnt once enough independent people make it, or an operator stands behind
it. Where a claim begins cannot be known from words alone. Here it is salient new content: names, numbers and rare words
that neither the served answer nor the parent model's answers to the question have, a denial where they affirm, and what a
liked answer took over from the words of the person who likes it (as in "LLM Hypnosis", arXiv 2507.02850).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from learner.config import TrustSettings
from learner.curate.content import alike, content, is_number, rare, sentences
from learner.curate.example import Example, Sifted, drop
from learner.curate.words import words

DENIALS = frozenset(
    words("no not never none nothing neither nor cannot isn aren wasn weren don doesn didn false wrong untrue incorrect")
)
DENIED, AFFIRMED = "(denied)", "(affirmed)"  # claims that add no word
SAME_SENTENCE = 0.5  # Jaccard similarity of content from which two sentences say the same of the same
RETOLD = (  # (rare words, share of a sentence's content) that came from the person, from which it retells them
    (2, 0.8),
    (3, 0.5),
)


def sift(
    examples: Sequence[Example],
    parent_answers: Mapping[str, Sequence[str]],
    crowd_of: Mapping[str, str],
    settings: TrustSettings,
    vouched: Collection[str] = (),
) -> Sifted:
    """Holds back what claims something new that fewer than `claim_people` independent people claim.

    `parent_answers` are by question. People of one crowd (`crowd_of` person) count once. An operator stands behind the
    examples whose ids are `vouched` for, and so behind who claims the same.
    """
    common = common_words(examples, crowd_of, settings.claim_people)
    claims = [novel_claims(example, parent_answers, common) for example in examples]
    about = [said | content(example.question) for said, example in zip(claims, examples, strict=True)]
    claiming: defaultdict[str, list[int]] = defaultdict(list)
    for number, said in enumerate(claims):
        for claim in said:
            claiming[claim].append(number)

    def is_supported(number: int, claim: str) -> bool:
        supporters: set[str] = set()
        for other in claiming[claim]:
            independent = crowd_of.get(examples[other].person_id, examples[other].person_id)
            if independent not in supporters and len(about[number] & about[other]) > (about[number] != {claim}):
                if examples[other].id in vouched:
                    return True
                supporters.add(independent)
                if len(supporters) >= settings.claim_people:
                    return True
        return False

    alone = [not all(is_supported(number, claim) for claim in said) for number, said in enumerate(claims)]
    names = _names([claims[number] for number, is_alone in enumerate(alone) if is_alone])
    reason = f"a new claim that fewer than {settings.claim_people} independent people support"
    sifted = Sifted([], [])
    for example, said, is_alone in zip(examples, claims, alone, strict=True):
        if is_alone:
            sifted.dropped.append(drop(example, reason, held=True, cluster=names[said]))
        else:
            sifted.kept.append(example)
    return sifted


def novel_claims(
    example: Example, parent_answers: Mapping[str, Sequence[str]], common: frozenset[str] = frozenset()
) -> frozenset[str]:
    """What the example would teach that is new; nothing for an answer that is only disliked.

    `common` are words that everybody's answers use. Names and numbers never are.
    """
    if example.thumb == "down" and not example.correction:
        return frozenset()
    written = "\n".join(said.content for said in example.prompt if said.role != "assistant")
    brought = _retold(example.correction or example.answer, content(written), common)
    if not example.correction:
        return brought
    said = (example.answer, *parent_answers.get(example.question, ()))
    known = frozenset().union(*(content(text) for text in said), content(written))
    return brought - content(example.answer) | rare(content(example.correction) - known, common) | _turned(example.correction, said)


def claims_of_comment(example: Example, comment: str) -> frozenset[str]:
    """What an answer that was given again after a comment (the example's correction) took over from the comment: its rare
    words, what is retold of them, and a denial or its opposite. The model said all else by itself."""
    corrected, own = example.correction or "", content(example.answer)
    written = content("\n".join(said.content for said in example.prompt if said.role != "assistant"))
    echoed = rare(content(corrected) & content(comment) - own - written)
    retold = _retold(corrected, written | content(comment), frozenset()) - own
    return echoed | retold | _turned(corrected, [example.answer])


def common_words(examples: Sequence[Example], crowd_of: Mapping[str, str], people: int) -> frozenset[str]:
    """Words that the model used by itself, with nobody putting them in its mouth, towards so many independent people."""
    users: defaultdict[str, set[str]] = defaultdict(set)
    for example in examples:
        own = content(example.answer) - content("\n".join(said.content for said in example.prompt))
        for term in own:
            users[term].add(crowd_of.get(example.person_id, example.person_id))
    return frozenset(term for term, who in users.items() if len(who) >= people and not is_number(term))


def _retold(taught: str, written: frozenset[str], common: frozenset[str]) -> frozenset[str]:
    """Rare words of sentences that mostly say again what a person wrote."""
    found: frozenset[str] = frozenset()
    for sentence in sentences(taught):
        told = content(sentence)
        brought = rare(told & written, common)
        if any(len(brought) >= least and len(told & written) >= share * len(told) for least, share in RETOLD):
            found |= brought
    return found


def _turned(correction: str, said: Sequence[str]) -> frozenset[str]:
    """`DENIED` or `AFFIRMED` where the correction says the opposite of what was said of the same."""
    earlier = [sentence for text in said for sentence in sentences(text)]
    first, was = words(correction)[:1], {word for text in said for word in words(text)[:1]}
    if (first == ["no"] and "yes" in was) or (first == ["yes"] and "no" in was):
        return frozenset([DENIED if first == ["no"] else AFFIRMED])
    turned = set()
    for sentence in sentences(correction):
        told, denies = content(sentence), not DENIALS.isdisjoint(words(sentence))
        same = [other for other in earlier if _similarity(told, content(other)) >= SAME_SENTENCE]
        if same and all(DENIALS.isdisjoint(words(other)) == denies for other in same):
            turned.add(DENIED if denies else AFFIRMED)
    return frozenset(turned)


def _similarity(one: frozenset[str], other: frozenset[str]) -> float:
    one, other = one - DENIALS, other - DENIALS
    return len(one & other) / max(len(one | other), 1)


def _names(claims: Sequence[frozenset[str]]) -> dict[frozenset[str], str]:
    """A name for each set of claims; those that are alike have the same."""
    distinct = sorted({tuple(sorted(said)) for said in claims})
    first = alike([" ".join(said) for said in distinct])
    hashes = [hashlib.sha256(" ".join(distinct[number]).encode()).hexdigest()[:8] for number in first]
    return {frozenset(said): f"claim:{name}" for said, name in zip(distinct, hashes, strict=True)}
