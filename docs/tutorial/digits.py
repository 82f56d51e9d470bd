"""Writes scikit-learn's digits as digits.csv: 64 pixels from 0 to 1, and the digit."""

from sklearn.datasets import load_digits

pixels, digit = load_digits(return_X_y=True, as_frame=True)
(pixels / 16).assign(digit=digit).to_csv("digits.csv", index=False)
