"""`ratchet bench scale`: what a turn, a vote, a cycle and a gigabyte cost here, and what more turns a day need from that.

`deploy/SCALING.md` has its tables.
"""
