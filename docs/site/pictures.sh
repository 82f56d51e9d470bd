#!/usr/bin/env bash
# Makes what docs/pictures/ holds, from nothing: `make pictures`, which has `mimsweep`, `python` and
# `termtosvg` on the PATH. Called again, it trains nothing that is complete.
set -euo pipefail
site="$(cd "$(dirname "$0")" && pwd)"
pictures="$site/../pictures"
mkdir -p "$site/../../build/pictures"
cd "$site/../../build/pictures"
unset MLFLOW_TRACKING_URI

wide=(bottleneck)
mimsweep run "${wide[@]}"
mimsweep figures "${wide[@]}"

narrow=(expressiveness --set seed=1 --set mid_dim=50)
mimsweep run "${narrow[@]}"
mimsweep figures "${narrow[@]}" --latent

draw() { python "$site/pictures.py" "$@"; }

draw curves figures/bottleneck/mi.svg "Mutual information over the latent size, of MIM and VAE"
draw rate figures/bottleneck/rate_distortion.svg "Distortion over rate, a point for each run"
draw kl figures/bottleneck/kl_profile.svg "The KL of each latent dimension, in order"
draw learning figures/bottleneck/learning.svg "Training and test loss by epoch"
draw seeds figures/bottleneck/seeds.svg "A point for each run and metric"
draw latent figures/expressiveness/latent.svg \
  "Reconstructions in data space and posteriors in latent space, of MIM and VAE"

# A real session: every character is what the program printed, when it did.
script --quiet --return --command "termtosvg '$pictures/session.svg' \
  -c 'bash $site/session.sh' -g 98x18 -m 80 -M 1600 -D 3000 -t window_frame" /dev/null
