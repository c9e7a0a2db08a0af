"""How stages are started: one by one or in parallel, by DVC, by the fork server, or by torchrun."""
