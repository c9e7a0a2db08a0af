"""Names of the files that several stages share."""

MANIFEST = "manifest.json"  # what a folder holds, and what it was made from
WEIGHTS = "weights.safetensors"
HISTORY = "history.csv"  # one row per epoch, or per some iterations of a study
METRICS = "metrics.json"  # the evaluation, in a run folder
