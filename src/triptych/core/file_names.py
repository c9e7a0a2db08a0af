"""Names of the files that several stages share."""

MANIFEST = "manifest.json"  # content of a folder, and the inputs that it was made from
WEIGHTS = "weights.safetensors"
HISTORY = "history.csv"  # one row per epoch, or per fixed number of iterations of a study
RESULTS = "results.json"  # all results of an evaluation, beside its plots
METRICS = "metrics.json"  # the same file in a run folder
