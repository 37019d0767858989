"""Compiled passes over blocks of rows: densities, responsibilities and statistics. Loaded by the first large pass, never by `import mixtures`.

Rows are taken in tiles of 256. A buffer of log densities or responsibilities is (tiles, K, 256), so that every inner loop
runs over rows, whatever the width of the machine's vectors.
"""
