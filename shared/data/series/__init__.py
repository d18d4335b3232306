"""Time series: steps in order, checked for gaps, and windows of them that are cut as they are taken."""
