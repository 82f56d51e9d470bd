"""From the store to tables, verdicts, figures and reports."""
