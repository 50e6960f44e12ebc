"""Bins of the latency histograms in the rollups. Pure constants.

Each octave from 16 ms to 131 s has three bins, so a bin is 26 % wide and a percentile read from it is at most
13 % off its middle; above that the bins are octaves up to 17 minutes. Counts are integers: histograms of any
rows add up exactly.
"""

EDGES_MS = (
    *(round(16 * 2 ** (step / 3)) for step in range(40)),
    262_144,
    524_288,
    1_048_576,
)
"""Bin *i* holds `EDGES_MS[i - 1] <= value < EDGES_MS[i]`; the first starts at 0, the last has no end."""

BINS = len(EDGES_MS) + 1
DURATION_BINS = tuple(f"duration_bin_{index:02}" for index in range(BINS))
TTFT_BINS = tuple(f"ttft_bin_{index:02}" for index in range(BINS))
