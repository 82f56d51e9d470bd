"""Tables of runs to statistics, figures and the HTML report; knows no MLflow."""
