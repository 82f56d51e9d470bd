"""MLflow as the one truth about runs: the only importer of mlflow."""
