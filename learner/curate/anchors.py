"""Anchors: everyday requests that nobody here voted on, with base's own answers, to be replayed in every cycle.

Votes of a few people say nothing about the rest of what the model does; staying near the live model on requests of many
kinds and lengths keeps a taste for one thing from hollowing out the others. The first cycles have no other replay.
"""

from __future__ import annotations

import hashlib
from functools import partial

from learner.adapter import BASE
from learner.context import Context
from learner.engine import LOW_PRIORITY, EngineError, gather_limited
from learner.rows import Row, RowKind, Split, read_rows, write_rows

FILE = "anchors.jsonl"
TEMPERATURE = 0.7

PROMPTS = (
    "Write a paragraph of five sentences about living near the sea.",
    "List six things to pack for a week of camping.",
    "Explain in detail how a bill becomes a law.",
    "Write a short story about a lost key.",
    "Give step-by-step instructions for repotting a plant.",
    "Translate 'Where is the train station?' into Spanish and French.",
    "Write a polite email asking a landlord to fix a leaking tap.",
    "Compare renting a flat with buying one, with two points for each.",
    "Write a poem of eight lines about autumn.",
    "Describe your ideal kitchen in at least four sentences.",
    "What are the main causes of the French Revolution?",
    "Write a Python function that reverses a string and explain it.",
    "Make a table of three planets with their size and distance from the sun.",
    "Give me a JSON object with the keys name, age and city for an invented person.",
    "Rewrite in capital letters: the quick brown fox.",
    "Summarise the plot of Romeo and Juliet in a few sentences.",
    "What are the pros and cons of working from home?",
    "Write three questions a teacher could ask about photosynthesis.",
    "Explain how vaccines work, as if to a teenager, in two paragraphs.",
    "Plan a three-day trip to a big city, day by day.",
    "How do I change a flat tyre?",
    "List the months of the year, each on its own line.",
    "What is the difference between weather and climate?",
    "Write a dialogue between a customer and a baker.",
    "Give me five synonyms for happy.",
    "Write a product description for a wooden chair.",
    "How many seconds are there in a day? Show the steps.",
    "Explain the rules of tic-tac-toe.",
    "Write a thank-you note to a neighbour who watered the plants.",
    "Suggest four names for a small bookshop and say why each fits.",
    "Why do we have leap years? Answer in a full paragraph.",
    "Begin every sentence with the word Today and write three sentences.",
    "Write a review of an imaginary restaurant, at least sixty words long.",
    "What should I do if I smell gas at home?",
    "Name three famous scientists and what each is known for.",
    "Give a recipe for pancakes with quantities and steps.",
    "Explain what a mortgage is to somebody who has never heard the word.",
    "Write a motivational speech for a losing football team.",
    "Sort these numbers from small to large: 42, 7, 19, 3, 88.",
    "Describe the water cycle in numbered steps.",
    "Write a haiku about a train.",
    "Turn this into a question: The museum opens at nine.",
    "How does a refrigerator keep food cold?",
    "Give three arguments for and three against school uniforms.",
    "Write the beginning of a detective novel.",
    "Explain the word irony with two examples.",
    "My friend is sad after losing her job. What could I say to her?",
    "Write a short biography of an invented astronaut.",
    "What happens in the body when we exercise?",
    "Give tips for a first job interview as a bulleted list.",
    "Describe a sunset without using the word red.",
    "Write a letter to your future self, about a hundred words.",
    "Explain supply and demand with an example.",
    "List five European rivers and one city on each.",
    "Write a lullaby with two verses.",
    "How do computers store pictures?",
    "Correct the grammar: She don't likes apples and he go home.",
    "What were the consequences of the invention of printing?",
    "Write four tips for saving money, each with a reason.",
    "Tell a joke and then explain why it is funny.",
    "Describe how to tie shoelaces to a child, step by step.",
    "Continue this sentence until it is a paragraph: When the lights went out,",
    "What is the scientific method? Explain each step.",
    "Write a news report about a cat that stopped traffic.",
    "Describe a harbour town in at least forty words.",
    "Explain in at least three sentences why we need sleep.",
    "Write at least five sentences about a rainy day.",
    "Tell me about the history of the bicycle in at least fifty words.",
    "Write two paragraphs about learning to swim.",
    "Use the words river, stone and bright in a short description.",
    "Write one sentence with the words coffee and window, and one with the words shoe and ladder.",
    "Write a short note to a colleague that has the words meeting, Tuesday and sorry.",
    "Explain how a bicycle stays upright.",
    "Explain why ice floats on water, with a comparison.",
    "Explain what inflation does to savings, in four sentences.",
    "Explain how bread rises, step by step.",
    "Write an advertisement of at least three sentences for a used piano.",
    "Write an invitation to a birthday party with a date, a time and a place.",
    "Write a short speech for a retirement party.",
    "Compose a message that tells a customer that a parcel is late.",
    "Write a diary entry of somebody who has just moved to a new town.",
    "Describe a forest at night in as much detail as you can.",
    "Give a long answer: what makes a good friend?",
    "Write a fairy tale in at least six sentences.",
    "Describe how to make a paper plane so that anybody could follow.",
    "In three full sentences, say what a museum is for.",
    "Write about your favourite season in no fewer than thirty-five words.",
    "Explain the difference between a lake and a sea in detail.",
    "Write a complaint to a shop about a broken lamp, and say what you want.",
    "Describe a typical day of a fisherman from morning to evening.",
    "Explain why people dream, and mention two theories.",
    "Write a paragraph that contains the words market, orange and basket.",
    "Use the word lantern three times in a short story.",
    "Write instructions for a guest who looks after a cat for a week.",
    "Explain to a child why it gets dark at night, in several sentences.",
    "Say what a dentist does, with at least two examples.",
)


async def anchors(context: Context) -> list[Row]:
    """One replay row for each prompt; base is asked once per home."""
    file = context.home / "cycles" / FILE
    if not file.is_file():
        jobs = [partial(_ask_base, context, seed, prompt) for seed, prompt in enumerate(PROMPTS)]
        rows = await gather_limited(context.settings.evaluation_concurrency, jobs)
        unfinished = file.with_suffix(".tmp")
        write_rows(unfinished, rows)
        unfinished.rename(file)
    return list(read_rows(file))


async def _ask_base(context: Context, seed: int, prompt: str) -> Row:
    body = {
        "model": BASE,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": context.settings.train.lead_tokens,
        "temperature": TEMPERATURE,
        "seed": seed,
        "return_token_ids": True,
        "priority": LOW_PRIORITY,
    }
    completion = await context.engine.complete(body, "")
    if completion.model != BASE or not completion.prompt_token_ids:
        raise EngineError(500, f"asked {BASE!r} for an anchor, but {completion.model!r} answered")
    return Row(
        id=f"anchor-{hashlib.sha256(prompt.encode()).hexdigest()[:12]}",
        person_id="",
        kind=RowKind.REPLAY,
        split=Split.TRAIN,
        weight=1.0,
        prompt_ids=tuple(completion.prompt_token_ids),
        answer_ids=tuple(completion.choices[0].token_ids or ()),
        temperature=TEMPERATURE,
    )
