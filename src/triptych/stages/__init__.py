"""One module per DVC stage: plain functions of settings, input paths, output paths and a tracker."""
