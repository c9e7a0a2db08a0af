"""Training on a SLURM cluster: submit jobs, run one job on a node, collect the results."""
