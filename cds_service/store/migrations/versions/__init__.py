"""The steps. They only add, so that the release before still runs on the newer tables."""
