"""Cohorts in jobs of a Slurm cluster, by submitit; messages go through the file system."""
