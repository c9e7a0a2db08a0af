"""Many machines: SLURM runs the jobs, DVC's remote carries what goes in and what comes out."""
