"""From the characters of a report to its sentences and tokens: what precedes any reading."""
