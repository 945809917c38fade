"""Rows of data: gathered, shuffled, made."""
