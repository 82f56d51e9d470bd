"""Tidy frames of runs to statistics, figures and reports. Knows no MLflow."""
