"""Training of any task: the step, the loop, checkpoints, the run from start to end."""
