"""What an operator starts: order and fan-out, nothing else."""
