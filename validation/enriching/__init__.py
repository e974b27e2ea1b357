"""What Synthea cannot say, added to the charts of NET patients: a module for each part of one."""
