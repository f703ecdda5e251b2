"""Stage 2: evidence into an immutable dataset whose every left-out row has a counted reason."""
