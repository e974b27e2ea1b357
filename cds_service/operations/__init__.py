"""What those who run the service see of it and do with it: metrics, traces, drain, checks."""
