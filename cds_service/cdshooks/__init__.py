"""CDS Hooks 2.0 over HTTP: discovery, the hook, feedback."""
