"""What is kept: the audit, feedback, used tokens and switches. No chart content."""
