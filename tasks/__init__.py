"""What shows as one line in Prefect: names, slots, retries, artifacts."""
