"""Names of the files that several stages share."""

MANIFEST = "manifest.json"  # content of a folder, and the inputs that it was made from
WEIGHTS = "weights.safetensors"
HISTORY = "history.csv"  # one row per epoch, or per fixed number of iterations of a study
METRICS = "metrics.json"  # the evaluation, in a run folder
