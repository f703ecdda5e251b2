"""Corpora: documents from files, and what they are made of."""
