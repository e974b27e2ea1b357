"""The card: what a clinician sees of a report."""
