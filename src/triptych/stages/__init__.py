"""One module per DVC stage: plain functions of settings, input paths, output paths and a tracker.

Two modules are not stages: `run_inputs.py`, the inputs of a training run, and `summary.py`, the rows of `summary.csv`.
"""
