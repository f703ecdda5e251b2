"""People made of code: what they ask and like, populations of them, and the rounds in which a real service learns from them."""
