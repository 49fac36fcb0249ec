"""The procedures of E75412-01, one table each."""
