"""The way from an empty database to today's tables. A new step is a file in `versions/`, named by what it does."""
