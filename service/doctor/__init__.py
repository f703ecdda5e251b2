"""`ratchet doctor`: what is wrong with a machine, an install, a home or a running service, and what to do about it.

A file for each thing that is looked at, a small function for each check, and in `checks` the table of them all.
"""
