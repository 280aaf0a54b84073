"""CPython judges every translation of a real broker. Nothing here shares code with the broker or
the package.
"""
