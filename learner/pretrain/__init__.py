"""Pre-training into a new base model: all weights of the served one go on learning, or new ones begin at random."""
