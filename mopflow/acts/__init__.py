"""What the steps do to the system, one module per subject."""
