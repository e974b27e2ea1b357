"""A CDS Hooks service and an evaluator of charts for the NET RETREAT trial."""
