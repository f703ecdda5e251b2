"""What people made of code see of an answer: whether it came to its end."""


def is_whole(answer: str) -> bool:
    """Whether it ends as a sentence does; one that was cut off does not."""
    return answer.rstrip().endswith((".", "!", "?"))
