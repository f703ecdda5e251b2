"""What operators watch the service by: figures, logs, traces, and words to other programs."""
