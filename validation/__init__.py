"""The validation study: synthetic patients of known truth, and how the service does on them."""
