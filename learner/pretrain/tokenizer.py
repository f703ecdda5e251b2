"""A tokenizer of a corpus's own: byte-level BPE (arXiv 1508.07909, on bytes as GPT-2 has it), which can say every text.

Its chat template is ChatML: `<|im_start|>`, who speaks, what they say, `<|im_end|>`. Documents end with `<|endoftext|>`.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from learner.pretrain.spec import SPECIAL

END_OF_TEXT, TURN_BEGINS, TURN_ENDS = SPECIAL
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def train_tokenizer(texts: Iterable[str], vocabulary: int, positions: int) -> PreTrainedTokenizerBase:
    """The tokenizer of these texts, of at most `vocabulary` tokens: the same for the same texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=TURN_BEGINS,
        eos_token=TURN_ENDS,
        pad_token=END_OF_TEXT,
        model_max_length=positions,
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = TEMPLATE
    return made


def end_of_text(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends a document: the one made for it where there is one, else the end of a turn."""
    vocabulary = tokenizer.get_vocab()
    return int(vocabulary.get(END_OF_TEXT, tokenizer.eos_token_id))
